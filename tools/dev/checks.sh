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
    export MANA_TEST_NGINX_TEMPLATE_DIR=$root/nginx
    export MANA_TEST_NODE_MODULES=$node_modules
}

test_all() { # CTEST_ARG...
    use_instance test
    lock_instance
    install_packages "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}" "${checker_packages[@]}"
    fetch_node_packages
    build_release
    build_asan
    private_stack debug
    write_ctest_file
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
    say ctest "running"
    ctest --test-dir "$root/.run/ctest" --output-on-failure --no-tests=error "$@"
}

# One CTest run over both builds, the checks of the source, the fuzz targets (it builds them itself, where it is asked for)
# and the clients in JavaScript.
write_ctest_file() {
    local check
    mkdir -p "$root/.run/ctest"
    {
        for check in format shellcheck layering tidy nginx_errors; do
            printf 'add_test(%s "%s")\n' "$check" "$root/tests/$check.sh"
        done
        for check in units existing_site monitoring; do
            printf 'add_test(hosting_%s "%s")\n' "$check" "$root/tests/hosting/$check.sh"
        done
        printf 'add_test(fuzz "%s" fuzz --seconds 5)\n' "$root/dev"
        printf 'set_tests_properties(fuzz PROPERTIES TIMEOUT 600)\n'
        printf 'add_test(model "%s")\n' "$root/tests/model/run"
        printf 'set_tests_properties(model PROPERTIES TIMEOUT 300)\n'
        printf 'add_test(real_time "%s")\n' "$root/tests/real_time/run"
        printf 'set_tests_properties(real_time PROPERTIES TIMEOUT 300)\n'
        printf 'add_test(checker "%s")\n' "$root/tests/checker/run"
        printf 'set_tests_properties(checker PROPERTIES TIMEOUT 900 LABELS checker)\n'
        printf 'add_test(pgbouncer "%s")\n' "$root/tests/pgbouncer/run"
        printf 'subdirs("%s" "%s")\n' "$root/build/tests" "$root/build-asan/tests"
        printf 'add_test(secrets "%s")\n' "$root/tests/secrets.sh" # last: it reads the logs of all
    } >"$root/.run/ctest/CTestTestfile.cmake"
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
    build_release
    private_stack
    "$program" "$@"
}
