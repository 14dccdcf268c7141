#!/bin/bash
# What nginx answers while neither workers nor hub are there: 503 as JSON, with Retry-After, CORS and the id that the log has, each header once. A
# nginx of its own, from the same templates, with sockets on which nobody listens.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
for part in say programs nginx; do
    # shellcheck source=/dev/null
    source "tools/dev/$part.sh"
done

run_dir=$(mktemp -d)
mkdir "$run_dir/log"
PORT=$(free_port)
export WORKER_SOCKET=$run_dir/nobody.sock HUB_SOCKET=$run_dir/nobody.sock CORS_ORIGINS=http://localhost:5173
make_nginx_conf
"$(find_nginx)" -p "$run_dir/nginx" -e stderr -c "$run_dir/nginx/nginx.conf" 2>"$run_dir/log/nginx.log" &
nginx=$!
trap 'kill "$nginx" 2>/dev/null; wait "$nginx" 2>/dev/null || true; rm -rf "$run_dir"' EXIT
url=http://127.0.0.1:$PORT
for ((try = 0; try < 100; try++)); do
    if curl -s -o /dev/null "$url/"; then break; fi
    sleep 0.1
done

failed=0
expect() { # WHAT COUNT PATTERN ANSWER
    local count
    count=$(grep -ciE -e "$3" <<<"$4" || true)
    if [[ $count != "$2" ]]; then
        printf '%s: %s lines like "%s", not %s, in:\n%s\n' "$1" "$count" "$3" "$2" "$4"
        failed=1
    fi
}

expect_error() { # WHAT STATUS ANSWER
    expect "$1" 1 "^HTTP/1.1 $2" "$3"
    expect "$1" 1 '^content-type: application/json' "$3"
    expect "$1" 1 '^\{"error":"[a-z_]+","message":"[^"]+"\}$' "$3"
    expect_logged "$1" "$2" "$3"
}

# nginx writes its log after the answer.
expect_logged() { # WHAT STATUS ANSWER
    local id try
    expect "$1" 1 '^x-request-id: [0-9a-f]{32}$' "$3"
    id=$(sed -n 's/^X-Request-Id: //p' <<<"$3")
    for ((try = 0; try < 100; try++)); do
        if grep -q " $2 .* id=$id\$" "$run_dir/log/nginx-access.log"; then return; fi
        sleep 0.1
    done
    printf '%s: no line of the log has %s with id=%s\n' "$1" "$2" "$id"
    failed=1
}

check() { # WHAT STATUS CURL_ARG...
    local what=$1 status=$2 answer
    shift 2
    answer=$(curl -sS -i --max-time 10 -H 'Origin: http://localhost:5173' "$@" | tr -d '\r')
    expect_error "$what" "$status" "$answer"
    expect "$what" 1 '^access-control-allow-origin: http://localhost:5173$' "$answer"
    expect "$what" 1 '^access-control-allow-credentials: true$' "$answer"
    expect "$what" 1 '^access-control-expose-headers: Retry-After, X-Request-Id$' "$answer"
    if [[ $status == 503 ]]; then expect "$what" 1 '^retry-after: [0-9]+$' "$answer"; fi
    answer=$(curl -sS -i --max-time 10 -H 'Origin: https://elsewhere.example' "$@" | tr -d '\r')
    expect_error "$what, from elsewhere" "$status" "$answer"
    expect "$what, from elsewhere" 0 '^access-control' "$answer"
}

check "a push" 503 -X POST -d '{}' "$url/sync/todo"
check "a pull" 503 "$url/sync/todo/pull?collection=t&since="
check "a stream" 503 "$url/sync/todo/stream"
check "a WebSocket" 503 -H 'Connection: Upgrade' -H 'Upgrade: websocket' "$url/ws"
check "health" 503 "$url/health"
check "no endpoint" 404 "$url/sync/"
check "a large body" 413 -X POST -H 'Content-Length: 10485761' -H 'Expect:' -d '{}' "$url/sync/todo"
expect "a large body" 1 'send fewer changes at a time' \
    "$(curl -sS --max-time 10 -X POST -H 'Content-Length: 10485761' -H 'Expect:' -d '{}' "$url/sync/todo")"
check "a large header" 431 -H "Authorization: $(printf 'x%.0s' {1..9000})" "$url/sync/todo/pull"
# A line that does not end is refused before the origin has been read.
expect_error "a long line" 414 "$(curl -sS -i "$url/sync/todo/pull?collection=$(printf 'x%.0s' {1..9000})" | tr -d '\r')"
exit "$failed"
