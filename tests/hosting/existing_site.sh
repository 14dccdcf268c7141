#!/bin/bash
# mana-sync in the server {} of a site that was there before, with TLS and HTTP/2, by the files that are installed: the
# site answers as it did, letter by letter, and mana-sync as it should. Needs the stack of ./dev test: its workers and hub.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for part in say programs nginx; do
    # shellcheck source=/dev/null
    source "tools/dev/$part.sh"
done
# shellcheck source=tests/hosting/installed.sh
source tests/hosting/installed.sh

work=$(mktemp -d)
chmod 755 "$work"
trap 'kill "${nginx:-}" 2>/dev/null; wait 2>/dev/null || true; rm -rf "$work"' EXIT
install_into "$work/tree"
app_port=$(free_port)
setting() { sed -n "s/^$1=//p" "$MANA_TEST_RUN_DIR/settings"; }

# As in /etc/nginx, but for the three absolute paths in them, which are this stack's.
conf=$work/nginx
mkdir -p "$conf"/{conf.d,snippets,body,proxy,fastcgi,uwsgi,scgi} "$work/www/own"
cp "$installed_etc"/nginx/conf.d/mana-sync.conf "$conf/conf.d/"
cp "$installed_etc"/nginx/snippets/mana-sync*.conf "$conf/snippets/"
sed -i -e "s,/run/mana-sync/worker.sock,$(setting WORKER_SOCKET)," -e "s,/run/mana-sync/hub.sock,$(setting HUB_SOCKET)," \
    -e "s,\"[^\"]*/nginx-cors.ma,\"$conf/nginx-cors.ma," -e "s,/var/log/nginx/,$work/," \
    "$conf/conf.d/mana-sync.conf" "$conf/snippets/mana-sync-common.conf"

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=site.test -addext 'subjectAltName=DNS:before.test,DNS:after.test' \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
echo 'the site' >"$work/www/index.html"
echo 'a page of its own' >"$work/www/own/index.html"
echo 'not here, says the site' >"$work/www/none.html"

# The same server twice, without mana-sync and with it.
server() { # NAME INCLUDE
    cat <<END
    server {
        listen 127.0.0.1:$app_port ssl http2;
        server_name $1;
        root $work/www;
        error_page 404 /none.html;
        error_page 405 =405 @not_this;
        location /own/ {
            add_header X-Own yes always;
        }
        location @not_this {
            return 405 "the site knows no such method";
        }
        location /sync-settings {
            return 200 "a path that only looks like ours";
        }
        $2
    }
END
}
cat >"$conf/nginx.conf" <<END
$(if ((EUID == 0)); then echo 'user root;'; fi)
daemon off;
pid $work/nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ssl_certificate $work/cert.pem;
    ssl_certificate_key $work/key.pem;
    # All servers of this nginx have it: lost as soon as a server has one of its own.
    add_header X-Everywhere yes always;
    proxy_intercept_errors on;
    fastcgi_intercept_errors on;
    include conf.d/*.conf;
$(server before.test "")
$(server after.test "include snippets/mana-sync.conf;")
}
END

failed=0
fail() {
    printf '%s\n' "$*"
    failed=1
}

start_nginx_of_site() {
    local try
    "$(find_nginx)" -p "$conf" -e stderr -c "$conf/nginx.conf" 2>"$work/nginx.log" &
    nginx=$!
    for ((try = 0; try < 100; try++)); do
        if curl -sk -o /dev/null "https://127.0.0.1:$app_port/"; then return; fi
        kill -0 "$nginx" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/nginx.log"
    exit 1
}

ask() { # NAME PATH CURL_ARG...
    local name=$1 path=$2
    shift 2
    curl -sS -i --http2 --max-time 10 --cacert "$work/cert.pem" --resolve "$name:$app_port:127.0.0.1" "$@" \
        "https://$name:$app_port$path" | tr -d '\r'
}

the_same() { # PATH CURL_ARG...
    diff <(ask before.test "$@" | grep -v '^date:') <(ask after.test "$@" | grep -v '^date:') ||
        fail "the site's answer (<) is another one with mana-sync (>): $*"
}

expect() { # WHAT COUNT PATTERN ANSWER
    local count
    count=$(grep -ciE -e "$3" <<<"$4" || true)
    [[ $count == "$2" ]] || fail "$(printf '%s: %s lines like "%s", not %s, in:\n%s' "$1" "$count" "$3" "$2" "$4")"
}

expect_answer() { # WHAT STATUS ANSWER
    expect "$1" 1 "^HTTP/2 $2" "$3"
    expect "$1" 1 '^content-type: application/json' "$3"
    expect "$1" 1 '^vary:' "$3"
    expect "$1" 1 '^vary: Origin, Accept-Encoding$' "$3"
    expect "$1" 1 "^access-control-allow-origin: $origin\$" "$3"
    expect "$1" 1 '^access-control-allow-credentials: true$' "$3"
    expect "$1" 1 '^access-control-expose-headers: Retry-After, X-Request-Id$' "$3"
    expect "$1" 1 '^x-request-id: [0-9a-f]{32}$' "$3"
}

expect_error() { # WHAT STATUS ANSWER
    expect_answer "$1" "$2" "$3"
    expect "$1" 1 '^\{"error":"[a-z_]+","message":"[^"]+"\}$' "$3"
}

# Without the file of the origins nginx starts, and lets nobody call.
origin=https://a-web-app-with-a-name-of-more-than-sixty-four-letters.example.org:8443
start_nginx_of_site
expect "a web app before its origin is known" 0 '^access-control' "$(ask after.test /health -H "Origin: $origin")"
printf 'CORS_ORIGINS="https://other.example.org, %s"\n' "$origin" >"$work/settings"
"$installed_prefix/sbin/mana-sync-nginx-conf" -e "$work/settings" -o "$conf/nginx-cors.map" >/dev/null
kill -HUP "$nginx"
for ((try = 0; try < 100; try++)); do
    if ask after.test /health -H "Origin: $origin" | grep -q '^access-control-allow-origin'; then break; fi
    sleep 0.1
done
if grep -E '\[(warn|error|emerg)\]' "$work/nginx.log"; then fail "nginx has something to say"; fi

the_same /
the_same /own/
the_same / -H "Origin: $origin"
the_same /none
the_same /sync-settings
the_same / -X OPTIONS
the_same /sync-settings -X OPTIONS -H "Origin: $origin" -H 'Access-Control-Request-Method: POST'
the_same / -d x
the_same /own/ -X DELETE
the_same "/$(printf 'x%.0s' {1..9000})"
expect "the site" 1 '^x-everywhere: yes$' "$(ask after.test /)"

user=site-$RANDOM
token=$(curl -sSf "$MANA_TEST_IDENTITY_URL/token?user=$user")
call=(-H "Origin: $origin" -H "Authorization: Bearer $token" -H 'X-Client-Id: phone')
now=$(date -u +%Y-%m-%dT%H:%M:%S.000Z)
answer=$(ask after.test /sync/todo "${call[@]}" -d '{"since":"","changes":[{"table":"t","id":"1","op":"insert","data":{"x":"over HTTP/2","updatedAt":"'"$now"'"}}]}')
expect_answer "a push" 200 "$answer"
expect "a push" 1 '"syncedUntil":"' "$answer"
answer=$(ask after.test '/sync/todo/pull?collection=t&since=' -H "Origin: $origin" -H "Authorization: Bearer $token" -H 'X-Client-Id: laptop')
expect_answer "a pull" 200 "$answer"
expect "a pull" 1 'over HTTP/2"' "$answer"
expect_answer "health" 200 "$(ask after.test /health -H "Origin: $origin")"
answer=$(ask after.test /sync/todo -X OPTIONS -H "Origin: $origin" -H 'Access-Control-Request-Method: POST')
expect "a preflight" 1 '^HTTP/2 204' "$answer"
expect "a preflight" 1 '^access-control-allow-headers: Authorization, Content-Type, Content-Encoding, X-Client-Id, Last-Event-ID$' "$answer"
expect_error "a push without a token" 401 "$(ask after.test /sync/todo -H "Origin: $origin" -d '{}')"
expect_error "a large body" 413 "$(ask after.test /sync/todo "${call[@]}" -H 'Content-Length: 10485761' -d '{}')"
expect_error "no endpoint" 404 "$(ask after.test /sync/todo/nothing "${call[@]}")"
answer=$(ask after.test /sync/todo/stream "${call[@]}" -H 'Accept-Encoding: gzip' --max-time 2 2>/dev/null || true)
expect "a stream" 1 '^HTTP/2 200' "$answer"
expect "a stream" 0 '^content-encoding:' "$answer"
expect "a stream" 1 '^x-request-id: [0-9a-f]{32}$' "$answer"
expect "a stream" 1 'over HTTP/2"' "$answer"

# With the workers gone, of whom this nginx knows.
sed -i "s,$(setting WORKER_SOCKET),$work/nobody.sock," "$conf/conf.d/mana-sync.conf"
kill -HUP "$nginx"
for ((try = 0; try < 100; try++)); do
    answer=$(ask after.test /sync/todo "${call[@]}" -d '{"since":"","changes":[]}')
    if grep -q '^HTTP/2 503' <<<"$answer"; then break; fi
    sleep 0.1
done
expect_error "a push without workers" 503 "$answer"
expect "a push without workers" 1 '^retry-after: [0-9]+$' "$answer"
exit "$failed"
