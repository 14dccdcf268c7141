# shellcheck shell=bash
# The private nginx of an instance: its configuration, made from the templates in nginx/.

find_nginx() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx
}

# Fills one template in. The values are taken as they are, whatever letters they have.
fill_in() { # TEMPLATE
    local text name
    text=$(<"$1")
    for name in USER USER_RATE RUN_DIR PORT WORKER_SOCKET HUB_SOCKET MAP_DIR ACCESS_LOG; do
        text=${text//"@$name@"/"${fill[$name]}"}
    done
    printf '%s\n' "$text"
}

make_nginx_conf() {
    local -A fill=(
        [USER]=""
        [USER_RATE]=${USER_RATE:-100}r/s
        [RUN_DIR]=$run_dir
        [PORT]=$PORT
        [WORKER_SOCKET]=$WORKER_SOCKET
        [HUB_SOCKET]=$HUB_SOCKET
        [MAP_DIR]=$run_dir/nginx
        [ACCESS_LOG]=$run_dir/log/nginx-access.log
    )
    if ((EUID == 0)); then
        fill[USER]="user root;" # its processes must reach sockets in a folder that may be root's alone
    fi
    mkdir -p "$run_dir/nginx/snippets"
    "$root/build/admin/mana-sync-nginx-conf" -e <(printf 'CORS_ORIGINS=%s\n' "$CORS_ORIGINS") -o - >"$run_dir/nginx/nginx-cors.map" ||
        die "nginx cannot be told of CORS_ORIGINS"
    fill_in nginx/mana-sync-http.conf.in >"$run_dir/nginx/mana-sync-http.conf"
    fill_in nginx/snippets/mana-sync-common.conf.in >"$run_dir/nginx/snippets/mana-sync-common.conf"
    cp nginx/snippets/mana-sync.conf nginx/snippets/mana-sync-errors.conf "$run_dir/nginx/snippets/"
    fill_in nginx/dev-nginx.conf.in >"$run_dir/nginx/nginx.conf"
}

start_nginx() {
    need_port nginx "$PORT" PORT
    make_nginx_conf
    ensure nginx "http://127.0.0.1:$PORT" nginx_ready \
        "$(printf '%s\n' "$run_dir"/nginx/{*.conf,nginx-cors.map,snippets/*.conf})" \
        "$(find_nginx)" -p "$run_dir/nginx" -e stderr -c "$run_dir/nginx/nginx.conf"
}

nginx_ready() {
    curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$PORT/health"
}
