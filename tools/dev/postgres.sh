# shellcheck shell=bash
# The private PostgreSQL of an instance: its folder, cluster, roles, database and migrations.

postgres_bin=/usr/lib/postgresql/15/bin # test --postgres sets another server's
client_bin=$postgres_bin

# PostgreSQL refuses root: then it is the user postgres who runs it.
as_postgres() {
    if ((EUID == 0)); then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# Sets postgres_dir, which holds data and socket: in the instance's folder, unless the user postgres can't get there
# (a checkout under /root) or the socket's path would be too long. Then under /var/tmp, by a name made of that folder's,
# so that it is found again even after .run was deleted.
find_postgres_dir() {
    postgres_dir=$run_dir/postgres
    if ! as_postgres test -x "$run_dir" 2>/dev/null || ((${#postgres_dir} > 107 - 20)); then
        postgres_dir=/var/tmp/mana-sync-$(printf '%s' "$run_dir" | sha256sum | cut -c 1-12)
    fi
}

make_postgres_dir() {
    local owner=$EUID
    if ((EUID == 0)); then
        owner=$(id -u postgres)
    fi
    # Somebody else may have taken the name under /var/tmp: only a real folder of the right owner will do.
    if [[ ! -e $postgres_dir && ! -L $postgres_dir ]]; then
        mkdir -m 700 "$postgres_dir"
        chown "$owner" "$postgres_dir"
    fi
    if [[ -L $postgres_dir || $(stat -c '%u %a' "$postgres_dir") != "$owner 700" ]]; then
        die "$postgres_dir is not a private folder of user $owner; remove it and try again"
    fi
}

# A server that was fetched into a checkout which the user postgres can't get to is copied to where the data is.
reach_server() {
    if [[ $postgres_bin != "$root"/* ]] || as_postgres test -x "$postgres_bin/postgres" 2>/dev/null; then
        return
    fi
    rm -rf "$postgres_dir/server"
    cp -r --preserve=mode,links "${postgres_bin%/bin}" "$postgres_dir/server"
    postgres_bin=$postgres_dir/server/bin
}

# First under another name: an initdb that was interrupted leaves no half cluster that looks whole.
make_cluster() {
    if [[ -d $postgres_dir/data ]]; then
        return
    fi
    say postgres "making a cluster in $postgres_dir"
    rm -rf "$postgres_dir/data.new"
    as_postgres "$postgres_bin/initdb" -D "$postgres_dir/data.new" -U postgres --auth=trust --encoding=UTF8 \
        --locale=C.UTF-8 >"$run_dir/initdb.log" 2>&1 ||
        die "initdb failed: $(tail -n 1 "$run_dir/initdb.log") (all of it: $run_dir/initdb.log)"
    mv "$postgres_dir/data.new" "$postgres_dir/data"
}

# Trust is enough: the socket is in a folder of mode 700, and there is no other way in.
start_postgres() {
    local server counting=()
    make_postgres_dir
    reach_server
    server=("$postgres_bin/postgres" -D "$postgres_dir/data")
    # Only where tests look at it: it counts each statement within a function too, and what is measured would pay for that.
    if [[ $instance == test* ]] && has_statistics; then
        counting=(-c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track=all
            -c pg_stat_statements.max=5000 -c compute_query_id=on)
    fi
    if ((EUID == 0)); then
        server=(setpriv --reuid=postgres --regid=postgres --init-groups -- "${server[@]}")
    fi
    make_cluster
    await_last_postmaster
    ensure postgres "$postgres_dir" postgres_ready "$postgres_bin/postgres" "${server[@]}" \
        -c listen_addresses= \
        -c port=5432 \
        -c unix_socket_directories="\"$postgres_dir\"" \
        -c unix_socket_permissions=0700 \
        -c cluster_name="mana-sync $instance" \
        -c fsync=on \
        -c synchronous_commit=on \
        -c full_page_writes=on \
        -c max_connections=200 \
        -c shared_buffers=256MB \
        -c timezone=UTC \
        -c log_timezone=UTC \
        -c logging_collector=off \
        -c log_destination=stderr \
        -c log_line_prefix='%m [%p] %u@%d ' \
        -c log_min_duration_statement=-1 \
        "${counting[@]}"
}

# Of each statement, how often it ran and what it cost. Debian's package has the module, other servers may lack it.
has_statistics() {
    local lib=${postgres_bin%/bin}/lib
    [[ -e $lib/pg_stat_statements.so || -e $lib/postgresql/pg_stat_statements.so ]]
}

# Where no role but the superuser looks: what others ask for is not the service's business.
make_statistics() {
    if ! has_statistics; then
        return
    fi
    psql_quietly "$(postgres_url postgres)" <<'END'
create schema if not exists statistics;
create extension if not exists pg_stat_statements schema statistics;
END
}

# One that was killed refuses its successor for as long as its parent has not taken note of its death.
await_last_postmaster() {
    local pid try
    if pid_of postgres >/dev/null || ! read -r pid 2>/dev/null <"$postgres_dir/data/postmaster.pid"; then
        return
    fi
    for ((try = 0; try < 50; try++)); do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) == postgres ]] || return 0
        sleep 0.1
    done
}

postgres_ready() {
    "$client_bin/pg_isready" -q -h "$postgres_dir" -p 5432 -U postgres -d postgres
}

# What really runs, whatever is installed. Somebody's own database that is away is the programs' business.
say_version() {
    local version
    if version=$(PGCONNECT_TIMEOUT=5 psql_quietly "$DATABASE_URL" <<<'show server_version' 2>/dev/null); then
        say postgres "is PostgreSQL $version"
    fi
}

postgres_url() { # ROLE [DATABASE]
    printf 'postgresql://%s@/%s?host=%s&port=5432\n' "$1" "${2:-mana_sync}" "$(url_encode "$postgres_dir")"
}

url_encode() { # TEXT
    local text=$1 i letter
    for ((i = 0; i < ${#text}; i++)); do
        letter=${text:i:1}
        case $letter in
            [a-zA-Z0-9/._~-]) printf '%s' "$letter" ;;
            *) printf '%s' "$letter" | od -An -v -tx1 | tr -d '\n' | tr ' ' '%' ;;
        esac
    done
}

psql_quietly() { # URL
    psql -X -q -At -v ON_ERROR_STOP=1 -d "$1"
}

# mana_owner owns the database and everything in it, mana is the role of the service: it owns nothing.
make_roles() {
    psql_quietly "$(postgres_url postgres postgres)" <<'END'
select format('create role %I login', name) from (values ('mana_owner'), ('mana')) as wanted (name)
 where not exists (select from pg_roles where rolname = name) \gexec
alter role mana_owner nosuperuser createrole nobypassrls;
alter role mana nosuperuser nocreatedb nocreaterole nobypassrls;
select 'create database mana_sync owner mana_owner'
 where not exists (select from pg_database where datname = 'mana_sync') \gexec
END
}

# The first migration makes the group role with the service's rights; who may use it is not the migrations' business.
migrate() {
    local service_role
    if [[ -z $MIGRATE_DATABASE_URL ]]; then
        say migrations "left alone: DATABASE_URL is yours and MIGRATE_DATABASE_URL is not set"
        return
    fi
    if ! sql/migrate "$MIGRATE_DATABASE_URL" >"$run_dir/migrate.log" 2>&1; then
        die "migrations failed: $(tail -n 1 "$run_dir/migrate.log") (all of it: $run_dir/migrate.log)"
    fi
    service_role=$(psql_quietly "$DATABASE_URL" <<<'select current_user')
    psql_quietly "$GRANT_DATABASE_URL" <<<"
        select 'grant mana_sync_service to \"$service_role\"'
         where not pg_has_role('$service_role', 'mana_sync_service', 'member') \\gexec" ||
        die "role $service_role is no member of mana_sync_service; as superuser: grant mana_sync_service to \"$service_role\""
    say migrations "done"
}
