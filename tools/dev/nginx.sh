# shellcheck shell=bash
# The private nginx of an instance: its configuration, made from the templates in nginx/.

find_nginx() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx
}

# Origins become lines of an nginx map, so nothing that nginx would read as more than a word gets through.
cors_map() {
    local origin origins
    IFS=, read -ra origins <<<"${CORS_ORIGINS//[[:space:]]/}"
    for origin in "${origins[@]}"; do
        [[ $origin =~ ^[a-z][a-z0-9+.-]*://[A-Za-z0-9._:-]+$|^[a-z]+://\[[0-9a-f:]+\](:[0-9]+)?$ ]] ||
            die "CORS_ORIGINS: '$origin' is no origin like https://app.example.org or http://localhost:5173"
        printf '    "%s" %s;\n' "$origin" "\$http_origin"
    done
}

# Fills one template in. The values are taken as they are, whatever letters they have.
fill_in() { # TEMPLATE
    local text name
    text=$(<"$1")
    for name in USER USER_RATE RUN_DIR CONF_DIR PORT WORKER_SOCKET HUB_SOCKET CORS_MAP ACCESS_LOG; do
        text=${text//"@$name@"/"${fill[$name]}"}
    done
    printf '%s\n' "$text"
}

make_nginx_conf() {
    local -A fill=(
        [USER]=""
        [USER_RATE]=${USER_RATE:-100}r/s
        [RUN_DIR]=$run_dir
        [CONF_DIR]=$run_dir/nginx
        [PORT]=$PORT
        [WORKER_SOCKET]=$WORKER_SOCKET
        [HUB_SOCKET]=$HUB_SOCKET
        [ACCESS_LOG]="\"$run_dir/log/nginx-access.log\""
    )
    if ((EUID == 0)); then
        fill[USER]="user root;" # its processes must reach sockets in a folder that may be root's alone
    fi
    fill[CORS_MAP]=$(cors_map)
    mkdir -p "$run_dir/nginx"
    fill_in nginx/mana-sync-http.conf.in >"$run_dir/nginx/mana-sync-http.conf"
    fill_in nginx/mana-sync-locations.conf.in >"$run_dir/nginx/mana-sync-locations.conf"
    fill_in nginx/dev-nginx.conf.in >"$run_dir/nginx/nginx.conf"
}

start_nginx() {
    need_port nginx "$PORT" PORT
    make_nginx_conf
    ensure nginx "http://127.0.0.1:$PORT" nginx_ready \
        "$(printf '%s\n' "$run_dir"/nginx/{nginx,mana-sync-http,mana-sync-locations}.conf)" \
        "$(find_nginx)" -p "$run_dir/nginx" -e stderr -c "$run_dir/nginx/nginx.conf"
}

nginx_ready() {
    curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$PORT/health"
}
