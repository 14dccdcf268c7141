# shellcheck shell=bash
# test and bench: each on a private stack of its own, on free ports, taken down at the end whatever happens.

private_stack() { # [LOG_LEVEL]
    trap 'stack_down >/dev/null; drop_data' EXIT
    end_by_signals
    stack_down
    stack_wipe
    private_settings "$@"
    stack_up
    export_test_variables
}

# Its cluster is kept from run to run, for what takes minutes to make in it; the database mana_sync is new all the same.
kept_stack() {
    trap 'stack_down >/dev/null; drop_sockets' EXIT
    end_by_signals
    stack_down
    find "$run_dir" -mindepth 1 -maxdepth 1 ! -name lock ! -name postgres -exec rm -rf {} +
    mkdir -p "$run_dir/log"
    private_settings
    start_postgres
    psql_quietly "$(postgres_url postgres postgres)" <<<"
        set client_min_messages = warning;
        drop database if exists mana_sync;"
    stack_up
    export_test_variables
}

drop_sockets() {
    if [[ $socket_dir != "$run_dir" ]]; then rm -rf "$socket_dir"; fi
}

end_by_signals() {
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# The tests' stack is their own: settings of the shell that calls are not.
private_settings() { # [LOG_LEVEL]
    unset "${program_variables[@]}"
    if [[ -n ${1:-} ]]; then export LOG_LEVEL=$1; fi
    PORT=$(free_port)
    IDENTITY_PORT=$(free_port)
    settings
}

export_test_variables() {
    export MANA_TEST_URL=http://127.0.0.1:$PORT
    export MANA_TEST_IDENTITY_URL=http://127.0.0.1:$IDENTITY_PORT
    export MANA_TEST_DATABASE_URL=$DATABASE_URL
    export MANA_TEST_OWNER_URL=$MIGRATE_DATABASE_URL
    export MANA_TEST_SUPERUSER_URL=$GRANT_DATABASE_URL
    export MANA_TEST_REDIS_URL=$REDIS_URL
    export MANA_TEST_RUN_DIR=$run_dir
    export MANA_TEST_WORKER_PROGRAM=$worker_program
    export MANA_TEST_HUB_PROGRAM=$hub_program
    export MANA_TEST_ADMIN_PROGRAM=$admin_program
    export MANA_TEST_NGINX_CONF_PROGRAM=$root/build/admin/mana-sync-nginx-conf
    export MANA_TEST_NGINX_TEMPLATE_DIR=$root/nginx
    export MANA_TEST_NODE_MODULES=$node_modules
}

test_all() { # [--postgres MAJOR] CTEST_ARG...
    if [[ ${1:-} == --postgres ]]; then
        test_on_major "${@:2}"
        return
    fi
    use_instance test
    lock_instance
    install_packages "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}" "${checker_packages[@]}"
    newest_postgres
    fetch_node_packages
    build_release
    build_asan
    private_stack debug
    make_statistics
    write_ctest_file
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
    say ctest "running"
    # Most of their time they wait.
    ctest --test-dir "$root/.run/ctest" --parallel 2 --output-on-failure --no-tests=error "$@"
}

# One CTest run over both builds, the checks of the source, the fuzz targets (it builds them itself, where it is asked for)
# and the clients in JavaScript.
write_ctest_file() {
    mkdir -p "$root/.run/ctest"
    {
        scripts
        printf 'subdirs("%s" "%s")\n' "$root/build/tests" "$root/build-asan/tests"
        script secrets 120 tests/secrets.sh
        # Last: it reads the logs of all.
        printf 'set_tests_properties(secrets PROPERTIES DEPENDS "%s;%s")\n' \
            'real_time;cost;checker;hostile_defaults;pgbouncer;integration;history_http;end_to_end;admin;asan.integration' \
            'end_to_end_redis;end_to_end_alone;admin_alone'
    } >"$root/.run/ctest/CTestTestfile.cmake"
}

# tidy takes as long as what has changed, and fuzz and hosting_units build.
scripts() {
    script format 120 tests/format.sh
    script shellcheck 300 tests/shellcheck.sh
    script layering 60 tests/layering.sh
    script tidy 3600 tests/tidy.sh
    script nginx_errors 120 tests/nginx_errors.sh
    script hosting_units 300 tests/hosting/units.sh
    in_turn stack hosting_existing_site 300 tests/hosting/existing_site.sh
    script hosting_monitoring 300 tests/hosting/monitoring.sh
    script fuzz 600 dev fuzz --seconds 5
    script model 300 tests/model/run
    in_turn 'stack;hubs' real_time 300 tests/real_time/run # it cuts all hubs from PostgreSQL
    in_turn 'hubs;issuer' cost 300 tests/cost/run
    in_turn stack checker 900 tests/checker/run
    printf 'set_tests_properties(checker PROPERTIES LABELS checker)\n'
    in_turn 'hubs;issuer' hostile_defaults 600 tests/hostile_defaults/run
    in_turn 'stack;issuer' pgbouncer 1200 tests/pgbouncer/run # longer than its steps may take together, so that it ends what it started
}

# One that takes turns with those of the same locks (tests/meson.build).
in_turn() { # LOCKS NAME SECONDS PROGRAM ARG...
    local locks=$1
    shift
    script "$@"
    printf 'set_tests_properties(%s PROPERTIES RESOURCE_LOCK "%s")\n' "$1" "$locks"
}

# Prints a test for CTest, which knows no limit where none is named.
script() { # NAME SECONDS PROGRAM ARG...
    local name=$1 seconds=$2 program=$root/$3
    shift 3
    printf 'add_test(%s "%s"%s)\n' "$name" "$program" "${*:+ $*}"
    printf 'set_tests_properties(%s PROPERTIES TIMEOUT %s)\n' "$name" "$seconds"
}

bench() { # [curve|hub|overload|spaces] ARG...
    local program=
    case ${1:-} in
        hub | overload | spaces)
            program=tests/bench/$1
            shift
            ;;
    esac
    if [[ -n $program ]]; then use_instance bench; else use_instance bench-used; fi
    lock_instance
    install_packages "${build_packages[@]}" "${run_packages[@]}"
    newest_postgres
    build_release
    if [[ -n $program ]]; then private_stack; else kept_stack; fi
    disown -a # the hub is killed on purpose: bash is not to tell of it
    export PGHOST=$postgres_dir PGPORT=5432 # of tests/bench/used/build
    "${program:-tests/bench/run}" "$@"
}

check() { # [full] ARG...
    local program=$root/build/tests/checker
    if [[ ${1:-} == full ]]; then
        program=$root/tests/checker/full
        shift
    fi
    use_instance checker
    lock_instance
    install_packages "${build_packages[@]}" "${run_packages[@]}" "${checker_packages[@]}"
    newest_postgres
    build_release
    private_stack
    "$program" "$@"
}
