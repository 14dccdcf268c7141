# shellcheck shell=bash
# An instance: all parts of mana-sync together, with the settings, data, sockets and logs of their own in .run/NAME/.

# In the order of their start; they end in the opposite one.
parts=(postgres redis identity worker hub nginx)

# What worker and hub read, as README.md lists it. A change of one restarts them.
program_variables=(PORT DATABASE_URL MIGRATE_DATABASE_URL JWKS_URL CORS_ORIGINS MANA_CREDITS_URL MANA_SERVICE_KEY
    REDIS_URL MANA_AUTH_URL GATE_CACHE MAX_CLOCK_SKEW WORKERS WORKER_REQUESTS WORKER_MEMORY
    WORKER_SOCKET WORKER_METRICS HUB_SOCKET KEYS_FILE
    MAX_CHANGES MAX_FIELDS MAX_NESTING MAX_SPACES MAX_REQUESTS MAX_CONNECTIONS PAGE_ROWS
    LOST_WRITES_DAYS SPACES_STALE_HOURS
    STATEMENT_TIMEOUT LOCK_TIMEOUT PREPARED_STATEMENTS LOG_LEVEL)

# The file counts as a part of each program. It holds a key and perhaps a password.
write_settings() {
    local name
    rm -f "$run_dir/settings"
    (
        umask 077
        for name in "${program_variables[@]}"; do
            if [[ -v $name ]]; then printf '%s=%s\n' "$name" "${!name}"; fi
        done >"$run_dir/settings"
    )
}

# Sets run_dir, where everything of an instance is.
use_instance() { # NAME
    instance=$1
    run_dir=$root/.run/$instance
    mkdir -p "$run_dir/log" 2>/dev/null || die "cannot write to $run_dir; run ./dev as the owner of $root"
}

# One ./dev at a time may change an instance. The programs it starts don't hold the lock.
lock_instance() {
    [[ -z ${locked:-} ]] || return 0
    exec 9>"$run_dir/lock"
    flock -n 9 || die "another ./dev is at work on $run_dir; wait for it or end it"
    locked=yes
}

# Settings: what the environment says, else the private parts of this instance.
settings() {
    find_socket_dir
    find_postgres_dir
    own_postgres=${DATABASE_URL:+no} own_redis=${REDIS_URL:+no} own_tokens=${JWKS_URL:+no}
    export PORT=${PORT:-3050}
    [[ $PORT =~ ^[1-9][0-9]{0,4}$ && $PORT -lt 65535 ]] || die "PORT is '$PORT', which is no port"
    identity_port=${IDENTITY_PORT:-$((PORT + 1))}
    local identity_url=http://127.0.0.1:$identity_port
    if [[ -n $own_postgres ]]; then
        MIGRATE_DATABASE_URL=${MIGRATE_DATABASE_URL:-}
        GRANT_DATABASE_URL=$MIGRATE_DATABASE_URL
    else
        DATABASE_URL=$(postgres_url mana)
        MIGRATE_DATABASE_URL=${MIGRATE_DATABASE_URL:-$(postgres_url mana_owner)}
        GRANT_DATABASE_URL=$(postgres_url postgres)
    fi
    export DATABASE_URL MIGRATE_DATABASE_URL
    export REDIS_URL=${REDIS_URL:-unix://$socket_dir/redis.sock}
    export JWKS_URL=${JWKS_URL:-$identity_url/api/auth/jwks}
    export MANA_CREDITS_URL=${MANA_CREDITS_URL:-$identity_url}
    export MANA_AUTH_URL=${MANA_AUTH_URL-$identity_url} # set but empty: no shared spaces
    export MANA_SERVICE_KEY=${MANA_SERVICE_KEY:-dev-service-key}
    export CORS_ORIGINS=${CORS_ORIGINS:-http://localhost:5173,http://localhost:5188}
    export WORKER_SOCKET=${WORKER_SOCKET:-$socket_dir/worker.sock}
    export WORKER_METRICS=${WORKER_METRICS:-$run_dir/worker.metrics}
    export HUB_SOCKET=${HUB_SOCKET:-$socket_dir/hub.sock}
    export KEYS_FILE=${KEYS_FILE:-$run_dir/keys.json}
}

# Sockets are in the instance's folder where their paths fit into the 107 bytes that the kernel allows.
find_socket_dir() {
    socket_dir=$run_dir
    if ((${#run_dir} > 107 - 12)); then
        socket_dir=/tmp/mana-sync-$(printf '%s' "$run_dir" | sha256sum | cut -c 1-12)
        mkdir -m 700 "$socket_dir" 2>/dev/null || true
        [[ ! -L $socket_dir && $(stat -c '%u %a' "$socket_dir") == "$EUID 700" ]] ||
            die "$socket_dir is not a private folder of this user; remove it and try again"
    fi
}

# A port that is taken is better told of before anything has been built or started.
need_ports() {
    need_port nginx "$PORT" PORT
    need_port identity "$identity_port" IDENTITY_PORT
}

stack_up() {
    write_settings
    if [[ -z $own_postgres ]]; then
        start_postgres
        make_roles
    fi
    say_version
    migrate
    if [[ -z $own_redis ]]; then start_redis; fi
    start_identity
    start_worker
    start_hub
    start_nginx
    check_push_path
}

start_redis() {
    ensure redis "$socket_dir/redis.sock" redis_ready "" redis-server --port 0 --unixsocket "$socket_dir/redis.sock" \
        --unixsocketperm 700 --save "" --appendonly no --daemonize no --dir "$run_dir" --logfile ""
}

redis_ready() {
    [[ $(timeout 5 redis-cli -s "$socket_dir/redis.sock" ping 2>/dev/null) == PONG ]]
}

start_identity() {
    ensure identity "http://127.0.0.1:$identity_port" identity_ready tests/identity/identity.py \
        /usr/bin/python3 "$root/tests/identity/identity.py" --port "$identity_port" \
        --state-dir "$run_dir/identity" --service-key "$MANA_SERVICE_KEY"
}

identity_ready() {
    curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$identity_port/control"
}

start_worker() {
    ensure worker "$WORKER_SOCKET" worker_ready "$(printf '%s\n' "$worker_program" "$run_dir/settings")" "$worker_program"
}

worker_ready() {
    [[ -S $WORKER_SOCKET ]]
}

start_hub() {
    ensure hub "$HUB_SOCKET" hub_ready "$(printf '%s\n' "$hub_program" "$run_dir/settings")" "$hub_program"
}

hub_ready() {
    curl -s -o /dev/null --max-time 5 --unix-socket "$HUB_SOCKET" http://hub/health
}

# The one question that goes all the way to a worker: a push without a token is refused with 401.
check_push_path() {
    local status try
    for ((try = 0; try < 50; try++)); do
        status=$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 -X POST "http://127.0.0.1:$PORT/sync/dev-check" || true)
        if [[ $status == 401 ]]; then
            return
        fi
        sleep 0.2
    done
    die "a push without a token got $status, not 401; see ./dev logs (worker: $(last_words worker))"
}

stack_down() {
    local i name
    find_socket_dir
    find_postgres_dir
    for ((i = ${#parts[@]} - 1; i >= 0; i--)); do
        name=${parts[i]}
        if stop "$name"; then say "$name" ended; fi
    done
    end_strays
}

# The cluster, and what had to be kept outside of the checkout. Call after settings or stack_down.
drop_data() {
    rm -rf "$postgres_dir"
    if [[ $socket_dir != "$run_dir" ]]; then rm -rf "$socket_dir"; fi
}

# Everything of an instance.
stack_wipe() {
    drop_data
    find "$run_dir" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
    mkdir -p "$run_dir/log"
}

stack_status() {
    local name pid all=0
    for name in "${parts[@]}"; do
        if pid=$(pid_of "$name"); then
            printf '%-10s running  pid %-8s %s\n' "$name" "$pid" "$(address_of "$name")"
        else
            printf '%-10s stopped\n' "$name"
            all=1
        fi
    done
    return "$all"
}

stack_logs() {
    local logs=("$run_dir"/log/*.log)
    [[ -e ${logs[0]} ]] || die "there are no logs yet; ./dev up makes some"
    if [[ ${1:-} == -f ]]; then
        exec tail -n 10 -F "${logs[@]}"
    fi
    tail -n 20 "${logs[@]}"
}

token() { # USER
    local address
    pid_of identity >/dev/null || die "the identity service does not run; start it with ./dev up"
    address=$(address_of identity)
    grep -qxF "JWKS_URL=$address/api/auth/jwks" "$run_dir/settings" ||
        die "tokens come from elsewhere: $(grep ^JWKS_URL= "$run_dir/settings") was set for ./dev up"
    curl -sSf --max-time 5 -G --data-urlencode "user=$1" "$address/token" ||
        die "the identity service at $address gave no token; see $run_dir/log/identity.log"
    echo
}

greet() {
    local url=http://127.0.0.1:$PORT now demo
    now=$(date -u +%Y-%m-%dT%H:%M:%S.000Z)
    printf '\nmana-sync is at %s\n\n' "$url"
    if [[ -n $own_tokens ]]; then
        printf '# tokens come from elsewhere: JWKS_URL is %s\nTOKEN=…\n' "$JWKS_URL"
    else
        demo=$(token demo)
        printf '# a token of user demo, good for a day; another one: ./dev token USER\nTOKEN=%s\n' "$demo"
    fi
    cat <<END

# one client pushes
curl -sS $url/sync/todo -H "Authorization: Bearer \$TOKEN" -H 'X-Client-Id: phone' \\
  -H 'Content-Type: application/json' -d '{"since":"","changes":[{"table":"tasks","id":"t1","op":"insert","data":{"title":"hello","updatedAt":"$now"}}]}'

# another one pulls
curl -sS "$url/sync/todo/pull?collection=tasks&since=1970-01-01T00:00:00.000Z" \\
  -H "Authorization: Bearer \$TOKEN" -H 'X-Client-Id: laptop'
END
}
