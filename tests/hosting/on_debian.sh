#!/bin/bash
# The Debian package from installation to purge, beside a site that was there before. It changes the machine it runs on:
# ./dev package --try starts it in a fresh Debian of its own, with systemd, nginx, PostgreSQL and Redis running.
# Usage: on_debian.sh PACKAGE IDENTITY_PROGRAM
set -euo pipefail
package=$1 identity=$2
log=$(mktemp)

check() { # WHAT COMMAND...
    local what=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        printf 'FAILED  %s\n' "$what"
        cat "$log"
        exit 1
    fi
    printf 'ok      %s\n' "$what"
}

wait_for() { # COMMAND...
    local try
    for ((try = 0; try < 100; try++)); do
        if "$@" >"$log" 2>&1; then return; fi
        sleep 0.1
    done
    return 1
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends "$@"
}

site=/etc/nginx/sites-available/default
curl_site=(curl -sS --http2 --cacert /etc/ssl/site.pem --resolve app.example.org:443:127.0.0.1)

make_site() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=app.example.org -addext subjectAltName=DNS:app.example.org \
        -keyout /etc/ssl/site.key -out /etc/ssl/site.pem
    mkdir -p /var/www/app
    echo 'the app' >/var/www/app/index.html
    write_site ""
    systemctl restart nginx
}

write_site() { # A_LINE_MORE
    cat >"$site" <<END
server {
    listen 443 ssl http2;
    server_name app.example.org;
    ssl_certificate /etc/ssl/site.pem;
    ssl_certificate_key /etc/ssl/site.key;
    root /var/www/app;
    $1
}
END
}

configure() {
    printf 'DATABASE_URL=postgresql://mana:served@localhost/mana_sync\nCORS_ORIGINS=https://web.example.org\n' >>/etc/mana-sync/mana-sync.env
    echo 'MIGRATE_DATABASE_URL=postgresql://mana_owner:owned@localhost/mana_sync' >>/etc/mana-sync/migrate.env
    su postgres -c 'psql -q -v ON_ERROR_STOP=1' <<'END'
create role mana_sync_service;
create role mana_owner login password 'owned';
create role mana login password 'served' in role mana_sync_service;
create database mana_sync owner mana_owner;
END
}

nothing_runs() {
    ! systemctl is-active mana-sync.target mana-sync-{worker,hub}.{service,socket} mana-sync-migrate.service &&
        ! systemctl is-enabled mana-sync.target
}

all_runs() {
    systemctl is-active mana-sync.target mana-sync-{worker,hub}.{service,socket} mana-sync-migrate.service
}

owned() { # PATH OWNER MODE
    [[ $(stat -c '%U:%G %a' "$1") == "$2 $3" ]]
}

push() {
    "${curl_site[@]}" -i https://app.example.org/sync/todo -H "Authorization: Bearer $token" \
        -H 'Origin: https://web.example.org' -H 'X-Client-Id: phone' -d '{"since":"","changes":[{"table":"t","id":"1","op":"insert","data":{"x":"'"$1"'"}}]}'
}

pushed() {
    local answer
    answer=$(push "$1" | tr -d '\r')
    printf '%s\n' "$answer"
    grep -q '^HTTP/2 200' <<<"$answer" && grep -q '"syncedUntil"' <<<"$answer" &&
        [[ $(grep -c '^access-control-allow-origin: https://web.example.org$' <<<"$answer") == 1 ]]
}

health_status() {
    "${curl_site[@]}" -o /dev/null -w '%{http_code}' https://app.example.org/health
}

healthy() {
    [[ $(health_status) == 200 ]]
}

# A restart that refuses nobody: requests one after the other, while it happens.
restart_unnoticed() { # UNIT
    local answers=/tmp/answers pid code
    (while :; do health_status >>"$answers" && echo >>"$answers"; done) &
    pid=$!
    for _ in 1 2 3; do systemctl restart "$1"; wait_for healthy; done
    kill "$pid"
    wait "$pid" || true
    code=$(sort "$answers" | uniq -c)
    rm "$answers"
    printf 'answers:\n%s\n' "$code"
    [[ $(grep -cv ' 200$' <<<"$code") == 0 ]]
}

main_pid() { # UNIT
    systemctl show --property MainPID --value "$1"
}

restarted() { # UNIT OLD_PID
    local now
    now=$(main_pid "$1")
    [[ $now != 0 && $now != "$2" ]]
}

confined() { # UNIT
    local pid
    pid=$(main_pid "$1")
    grep -q '^Seccomp:.*2$' "/proc/$pid/status" && grep -q '^CapBnd:.*0000000000000000$' "/proc/$pid/status" &&
        [[ $(readlink "/proc/$pid/ns/user") != "$(readlink /proc/self/ns/user)" ]]
}

nothing_left() {
    local left
    left=$(find /etc /lib /opt /run /srv /usr /var -xdev \( -name '*mana-sync*' -o -name '*mana_sync*' \) ! -path '/var/lib/postgresql/*' \
        ! -path '/var/cache/apt/*' ! -path '/run/systemd/*' ! -path '/sys/*')
    printf '%s\n' "$left"
    [[ -z $left ]]
}

make_site >/dev/null 2>&1
check "a site is there: its page over HTTP/2" grep -q 'the app' <("${curl_site[@]}" https://app.example.org/)

check "the package installs" apt install "$package"
check "nothing runs, nothing is enabled" nothing_runs
check "mana-sync.env is for root and the group mana-sync" owned /etc/mana-sync/mana-sync.env root:mana-sync 640
check "migrate.env is for root alone" owned /etc/mana-sync/migrate.env root:root 600
check "nginx takes its http part" nginx -t
check "the site has not changed" grep -q 'the app' <("${curl_site[@]}" https://app.example.org/)

install -m 755 "$identity" /usr/local/bin/identity-for-try
systemd-run -q --unit=identity-for-try -p DynamicUser=yes -p StateDirectory=identity-for-try \
    /usr/bin/python3 /usr/local/bin/identity-for-try --port 3001 --state-dir /var/lib/identity-for-try --service-key dev-service-key
wait_for curl -sSf -o /dev/null 'http://localhost:3001/token?user=ann'
token=$(curl -sSf 'http://localhost:3001/token?user=ann')

configure
check "the settings can be read" mana-sync-admin check-config
check "enabled and started, with the migrations before" systemctl enable --now mana-sync.target
check "all units run" all_runs
check "nginx is told of CORS_ORIGINS" mana-sync-nginx-conf
write_site 'include snippets/mana-sync.conf;'
check "nginx takes the snippet" nginx -t
systemctl reload nginx
check "a push over HTTP/2, with CORS once" wait_for pushed first
check "health" healthy
check "the site's page is the same" grep -q 'the app' <("${curl_site[@]}" https://app.example.org/)
check "the workers are confined" confined mana-sync-worker.service
check "the hub is confined" confined mana-sync-hub.service
check "systemd finds no fault with the units" systemd-analyze verify --man=no mana-sync.target mana-sync-{worker,hub}.{service,socket} mana-sync-migrate.service
check "the workers reload" systemctl reload mana-sync-worker
check "a push after it" pushed second
check "the hub restarts and refuses nobody" restart_unnoticed mana-sync-hub

worker=$(main_pid mana-sync-worker.service) hub=$(main_pid mana-sync-hub.service)
check "the package is installed again, as in an upgrade" apt reinstall "$package"
check "it restarted the workers" restarted mana-sync-worker.service "$worker"
check "it restarted the hub" restarted mana-sync-hub.service "$hub"
check "the settings have stayed" grep -q '^DATABASE_URL=postgresql://mana:served@' /etc/mana-sync/mana-sync.env
check "a push after it" wait_for pushed third

check "the package is removed" apt remove mana-sync
check "nothing runs" nothing_runs
check "the settings have stayed" test -f /etc/mana-sync/mana-sync.env
check "nginx starts as before" nginx -t
check "a push is told to come later" grep -q '^HTTP/2 503' <(push fourth)
write_site ""
systemctl reload nginx
check "the package is purged" apt purge mana-sync
check "nothing is left of it" nothing_left
check "nginx serves the site" grep -q 'the app' <("${curl_site[@]}" https://app.example.org/)
