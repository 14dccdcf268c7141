# shellcheck shell=bash
# The statements of shared/store as pgbench scripts, in $work/own.*.sql, as a push or a pull runs them. What they are
# measured beside is thereby the very SQL that the programs run. Part of tests/bench/run.

sql() { # NAME EXPRESSION...
    "$build/tests/bench/statements" sql "$@"
}

# pgbench's variables, and SQL made of them. :k counts a client's transactions, :base is the time of the run in
# milliseconds: together they make keys that grow with time, as those of the programs do.
# shellcheck disable=SC2016 # nothing here is the shell's to expand
make_expressions() {
    user=":name || '-' || :u::text"
    scope="'u:' || $user"
    row_id="lpad(to_hex(:base::bigint + :k::bigint), 12, '0') || '7' || lpad(to_hex(%s), 3, '0') || '8' ||
            lpad(to_hex(:client_id::int), 3, '0') || :run_id"
    # shellcheck disable=SC2059
    printf -v place_id "$row_id" place
    ids="select array_agg($place_id) from generate_series(0, :rows::int - 1) as place"
    record_ids="select array_agg(md5($place_id)) from generate_series(0, :rows::int - 1) as place"
    scopes=$(same "$scope")
}

# As often as there are rows. The programs send each value; here it travels once, which is in favour of the baseline.
same() { # VALUE
    printf 'array_fill((%s)::text, array[:rows::int])' "$1"
}

settings_sql() {
    sql settings "$user" "'{}'" "'own'" "'f'"
}

# What the programs set once for each session of theirs.
session_settings="-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off -c enable_incremental_sort=off
    -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan"

log_sql() {
    sql write_log :app "$user" :client :rows "$ids" "$scopes" "$(same "'notes'")" "$record_ids" "$(same "'insert'")" \
        "$(same :data)" "$(same :field_meta)" "$(same "'1'")" "$(same null)" "$(same null)" "$(same null)" "$(same "'f'")" "$(same :bytes)" \
        "array[$scope]" "array['[\"notes\"]']" "array[:rows::text]" "array[(:rows::int - 1)::text]"
}

next_user() {
    printf '%s\n' '\set k :k + 1' '\set u :client_id + :clients * random(0, :share - 1)'
}

# A push as push_transaction.cpp runs it for an author who is up to date: what goes into one round trip is in one pipeline
# here too.
push_script() {
    next_user
    printf '%s\n' '\startpipeline'
    sql begin
    settings_sql
    sql begin_push :app "array[$scope]" "$user" "'infinity'"
    sql read_records :app "array[$scope]" "$(same "'notes'")" "$record_ids"
    printf '%s\n' '\endpipeline' '\startpipeline'
    log_sql
    sql add_to_records :app "$scopes" "$(same "'notes'")" "$record_ids" "$(same :record_data)" \
        "$(same :record_meta)" "$(same null)" "$(same "'f'")" "$(same "'f'")" "$(same "'600'")"
    sql commit
    printf '%s\n' '\endpipeline'
}

# A pull of a page: the look ahead, and then the rows.
pull_script() {
    printf '%s\n' '\set u mod(:client_id, :users)' '\startpipeline'
    sql begin
    settings_sql
    sql look_ahead :app "array[$scope]" "array['notes']" "'epoch'" "'infinity'" "$user"
    sql commit
    printf '%s\n' '\endpipeline' '\startpipeline'
    sql begin
    settings_sql
    sql page_of_table :app "$scope" "'epoch'" :page_rows :page_bytes :client "$user" "'t'" "'infinity'" "'infinity'" null \
        "'notes'"
    sql commit
    printf '%s\n' '\endpipeline'
}

make_own_scripts() {
    local column
    own_values=()
    make_expressions
    push_script >"$work/own.push.sql"
    pull_script >"$work/own.pull.sql"
    for column in data field_meta bytes record_data record_meta; do
        own_values+=("$column=$("$build/tests/bench/statements" value "$column")")
    done
}


# Rows of different runs have different ids.
measure_own() { # push ROWS | pull: transactions/s
    if [[ $1 == pull ]]; then
        PGOPTIONS=$session_settings run_pgbench own.pull name=pages "users=$page_users" client=own page_rows=1000 page_bytes=8000000
        return
    fi
    local milliseconds
    milliseconds=$(date +%s%3N)
    PGOPTIONS=$session_settings run_pgbench own.push "rows=$2" name=user client=own "share=$((users / connections))" k=0 "base=$milliseconds" \
        "run_id=${milliseconds: -12}" "${own_values[@]}"
}
