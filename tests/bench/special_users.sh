# shellcheck shell=bash
# What special users wait for beside a plain one, and what the server costs when nobody asks for anything. Part of
# tests/bench/run.

of_database() { # URL DATABASE
    printf '%s\n' "${1%%/mana_sync\?*}/$2?${1#*/mana_sync\?}"
}

superuser_sql() { # DATABASE PSQL_ARG...
    psql -X -q -At -v ON_ERROR_STOP=1 -d "$(of_database "$MANA_TEST_SUPERUSER_URL" "$1")" "${@:2}"
}

# A record of the scope, with its user before and its space behind it, as --user of the load program wants it.
record_of() { # USER [SPACE]
    local scope=u:$1
    if [[ -n ${2:-} ]]; then scope=s:$2; fi
    superuser_sql mana_sync -c "select '$1:' || record_id || '${2:+:$2}' from sync_records
                                where scope = '$scope' and app_id = 'bench' order by record_id limit 1"
}

# Of all memberships, the database knows already: nothing is copied for `member`.
join_spaces() {
    local memberships
    memberships=$(seq -f '{"organizationId":"space-%03g","role":"member"}' 0 199 | paste -sd ,)
    curl -sSf -o /dev/null "$MANA_TEST_IDENTITY_URL/control" -d "{\"memberships\":{\"member\":[$memberships]}}"
}

# Which users there are for a kind, the plain one first.
find_special_users() {
    local million=
    if ((records >= 1000000)); then million=million; fi
    join_spaces
    declare -gA special=(
        [push1]="$(record_of user-9) $(record_of busy) ${million:+$(record_of million)} $(record_of member space-000)"
        [pull_nothing]="user-9 busy $million member"
        [page_insert]="pages-0 $million member"
        [page_update]="pages-0 busy"
    )
}

# One connection, where they take turns: what else the machine does meets all of them alike. The pause keeps each below
# the limit of requests of a user.
measure_special() { # KIND
    local of=() line user
    for user in ${special[$1]}; do of+=(--user "$user"); done
    "${load[@]}" --kind "$1" --connections 1 --pause 5 "${of[@]}" >"$work/special" || die "the load program failed"
    while read -r line; do
        printf '  special users   %s\n' "$line"
        keep "special.$1.$(field_of user "$line")" "$(field_of p50_ms "$line")"
    done <"$work/special"
}

# ---- when nobody asks ----

blocks_of() { # DATABASE
    superuser_sql postgres -c "select blks_hit + blks_read from pg_stat_database where datname = '$1'"
}

# Two hubs sweep, the stack's and one on an empty database, at the same time.
measure_idle() { # SECONDS
    local used empty
    superuser_sql postgres -c "set client_min_messages = warning" -c "drop database if exists bench_empty with (force)" \
        -c "create database bench_empty owner mana_owner" -c "alter system set autovacuum = off" \
        -c "select from pg_reload_conf()"
    sql/migrate "$(of_database "$MANA_TEST_OWNER_URL" bench_empty)" >/dev/null
    DATABASE_URL=$(of_database "$MANA_TEST_DATABASE_URL" bench_empty) HUB_SOCKET=$work/hub.sock \
        "$MANA_TEST_HUB_PROGRAM" >"$work/hub.log" 2>&1 &
    empty_hub=$!
    sleep 3 # both have looked, and prepared their statements
    used=$(blocks_of mana_sync) empty=$(blocks_of bench_empty)
    sleep "$1"
    used=$(($(blocks_of mana_sync) - used)) empty=$(($(blocks_of bench_empty) - empty))
    end_empty_hub
    superuser_sql postgres -c "drop database bench_empty with (force)" -c "alter system reset autovacuum" \
        -c "select from pg_reload_conf()"
    idle_used=$(times "$used" "1 / $1") idle_empty=$(times "$empty" "1 / $1")
    printf 'nobody asks     blocks/s=%s, on an empty database blocks/s=%s\n' "$idle_used" "$idle_empty"
}

end_empty_hub() {
    [[ -n ${empty_hub:-} ]] || return 0
    kill "$empty_hub" 2>/dev/null || true
    wait "$empty_hub" 2>/dev/null || true
    empty_hub=
}

# ---- memory ----

# Megabytes of each worker.
worker_memory() {
    local pid
    for pid in $(pgrep -P "$(<"$MANA_TEST_RUN_DIR/worker.pid")"); do
        awk '/^VmRSS:/ { printf "%.1f ", $2 / 1024 }' "/proc/$pid/status"
    done
}
