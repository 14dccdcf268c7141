# shellcheck shell=bash
# fuzz: libFuzzer against all that reads text from outside, in build-fuzz/, which clang makes.

fuzz_targets=(push_request merge json time query token jwks websocket_message notification)

build_fuzz() {
    # -O1, for the targets are built anew more often than they run long. ccache where it is, as meson does by itself for g++.
    CXX="ccache clang++" build build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Doptimization=1 -Db_lundef=false
}

fuzz() { # [--seconds N] [TARGET...]
    local seconds=60
    if [[ ${1:-} == --seconds ]]; then
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--seconds needs a number: ./dev fuzz --seconds 600"
        seconds=$2
        shift 2
    fi
    local targets=("$@")
    if ((${#targets[@]} == 0)); then targets=("${fuzz_targets[@]}"); fi
    check_fuzz_targets "${targets[@]}"
    use_instance fuzz
    lock_instance
    install_packages "${build_packages[@]}" "${test_packages[@]}"
    build_fuzz
    # Two at a time, as builds are: more would tell less where there are no more cores.
    printf '%s\n' "${targets[@]}" |
        xargs -n 1 -P 2 "$root/tests/fuzz/run" "$root/build-fuzz/tests/fuzz" "$run_dir" "$seconds" ||
        die "there are findings, kept in $run_dir/findings/; to see one: build-fuzz/tests/fuzz/fuzz_TARGET FILE"
}

check_fuzz_targets() { # TARGET...
    local target
    for target; do
        [[ " ${fuzz_targets[*]} " == *" $target "* ]] || die "there is no target $target; there are ${fuzz_targets[*]}"
    done
}
