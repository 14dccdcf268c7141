# shellcheck shell=bash
# Builds: build/ is what runs, build-asan/ is the same with the address and undefined behaviour sanitizers.

worker_program=$root/build/fcgi_worker/mana-sync-worker
hub_program=$root/build/ws_hub/mana-sync-hub
admin_program=$root/build/admin/mana-sync-admin

build_release() {
    build build
}

build_asan() {
    # -O0, for Beast with sanitizers takes minutes a file at -O1.
    build build-asan -Db_sanitize=address,undefined -Doptimization=0 -Db_lundef=false
}

# ninja tells its progress to a terminal, and elsewhere only what went wrong.
build() { # FOLDER MESON_OPTION...
    local folder=$1 ninja=(ninja -C "$1")
    # Two at a time in one folder would spoil it: up and test share build/.
    exec 8>"$root/.run/build.lock"
    flock 8
    if [[ ! -f $folder/build.ninja ]]; then
        say build "setting $folder/ up"
        meson setup "$@" >"$run_dir/meson.log" 2>&1 ||
            die "meson failed: $(grep -m 1 ERROR "$run_dir/meson.log" || tail -n 1 "$run_dir/meson.log") (all of it: $run_dir/meson.log)"
    fi
    say build "$folder/"
    if [[ ! -t 1 ]]; then ninja+=(--quiet); fi
    "${ninja[@]}" || die "the build in $folder/ failed; its errors are above"
    exec 8>&-
}
