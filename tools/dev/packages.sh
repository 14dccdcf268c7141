# shellcheck shell=bash
# Debian packages: installs what is missing, and lets the install start or enable no server. Of PostgreSQL, the newest
# point release.

build_packages=(g++ meson ninja-build pkg-config ccache libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libsimdjson-dev
    libcpp-jwt-dev libhiredis-dev libfcgi-dev libsystemd-dev libpq-dev libcurl4-openssl-dev libssl-dev libcli11-dev libspdlog-dev
    zlib1g-dev prometheus-cpp-dev nlohmann-json3-dev libgtest-dev libgmock-dev libbenchmark-dev cmake)
run_packages=(postgresql-15 postgresql-client-15 redis-server nginx-light curl python3 python3-jwt
    python3-cryptography)
test_packages=(clang clang-format clang-tidy libclang-rt-14-dev shellcheck mandoc systemd openssl prometheus nodejs pgbouncer
    spin)

# For the checker's faults: a network to cut, a clock to set back.
checker_packages=(iproute2 nftables)

policy=/usr/sbin/policy-rc.d
policy_saved=/usr/sbin/policy-rc.d.before-mana-sync
cluster_dir=/etc/postgresql-common/createcluster.d
cluster_file=$cluster_dir/mana-sync.conf

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# What nobody has asked for is no reason to ask for a password.
root_unasked() {
    ((EUID == 0)) || sudo -n true
}

# A package whose program is there from elsewhere is not missing.
missing_packages() { # PACKAGE...
    local package installed
    # dpkg-query fails as soon as it knows nothing of one of them.
    installed=$({ dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true; } | sed -n 's/ installed$//p')
    for package; do
        case $package in
            nginx-light) find_nginx >/dev/null && continue ;;
            nodejs) command -v node >/dev/null && continue ;;
        esac
        grep -qxF -e "$package" <<<"$installed" || printf '%s\n' "$package"
    done
}

install_packages() { # PACKAGE...
    local missing
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]} == 0)); then
        return
    fi
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        die "packages are missing and this user is neither root nor has sudo; as root: apt-get install ${missing[*]}"
    fi
    say packages "installing ${missing[*]}"
    if ! install_quietly "${missing[@]}" >"$run_dir/packages.log" 2>&1 </dev/null; then
        grep -E '^(E|Err|dpkg):' "$run_dir/packages.log" | tail -n 3 >&2 || true
        die "apt-get failed; all it said is in $run_dir/packages.log"
    fi
}

# (Chained by &&: where a function stands in a condition, bash does not heed set -e inside it.)
install_quietly() { # PACKAGE...
    as_root apt-get update -q &&
        without_servers apt_install "$@" &&
        without_servers disable_units "$@"
}

apt_install() { # PACKAGE...
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"
}

# A subshell, so that its trap leaves /etc and /usr/sbin as they were, however it ends. The ./dev of another checkout
# would take the policy away: they take turns, by a lock on the folder that holds it.
without_servers() ( # COMMAND...
    exec 7</usr/sbin
    flock -w 600 7 || exit
    trap leave_no_trace EXIT
    trap 'exit 1' INT TERM HUP
    hold_back_servers && "$@"
)

# Point releases of PostgreSQL mend what was found in it, and an image has one that was new when it was made. Who can't
# look, or must not upgrade, goes on with what is there.
newest_postgres() {
    local older server packages log=$run_dir/packages.log
    if ! look_for_releases >"$log" 2>&1 </dev/null; then
        say postgres "can't look for a newer release, so what is installed is used (why: $log)"
        return
    fi
    older=$(older_packages postgresql-15 postgresql-client-15 libpq5 libpq-dev)
    if [[ -z $older ]]; then
        return
    fi
    if server=$(foreign_server); then
        say postgres "an older release is used, since a server that is not of ./dev runs on it (pid $server): ${older%%$'\n'*}"
        return
    fi
    say packages "upgrading ${older%%$'\n'*}"
    mapfile -t packages < <(cut -d ' ' -f 1 <<<"$older")
    { root_unasked && without_servers apt_install "${packages[@]}"; } >"$log" 2>&1 </dev/null ||
        say postgres "the upgrade failed, so what is installed is used (why: $log)"
}

# Once a day; after a look that failed, in an hour again.
look_for_releases() {
    local stamp=$root/.run/postgres-releases
    if [[ -n $(find "$stamp" -mmin -1440 2>/dev/null) ]]; then
        return
    fi
    touch -d '23 hours ago' "$stamp"
    root_unasked || return
    # Without that mode, apt-get takes a mirror that does not answer for a warning.
    as_root timeout 120 apt-get update -q -o APT::Update::Error-Mode=any -o Acquire::Retries=0 \
        -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 || return
    touch "$stamp"
}

# Prints a line for each that is installed and could be newer: package, version, "before", the newer version.
older_packages() { # PACKAGE...
    local package installed candidate
    while read -r package installed candidate; do
        if [[ $installed != '(none)' && $candidate != '(none)' ]] && dpkg --compare-versions "$installed" lt "$candidate"; then
            printf '%s %s before %s\n' "$package" "$installed" "$candidate"
        fi
    done < <(LC_ALL=C apt-cache policy "$@" | awk '
        /^[^ ]/ { package = $1; sub(/:$/, "", package) }
        $1 == "Installed:" { installed = $2 }
        $1 == "Candidate:" { print package, installed, $2 }')
}

# Prints the pid of a server of that package that no ./dev started: somebody's real cluster.
foreign_server() {
    local file words word
    for file in /proc/[0-9]*/cmdline; do
        { mapfile -d '' -t words <"$file"; } 2>/dev/null || continue
        [[ ${words[0]:-} == /usr/lib/postgresql/15/bin/postgres ]] || continue
        for word in "${words[@]}"; do
            [[ $word != 'cluster_name=mana-sync '* ]] || continue 2
        done
        cut -d / -f 3 <<<"$file"
        return
    done
    return 1
}

hold_back_servers() {
    if [[ -e $policy || -L $policy ]] && [[ ! -e $policy_saved && ! -L $policy_saved ]]; then
        as_root mv "$policy" "$policy_saved" || return
    fi
    printf '#!/bin/sh\n# Removed by ./dev as soon as its packages are installed.\nexit 101\n' |
        as_root tee "$policy" >/dev/null &&
        as_root chmod 755 "$policy" &&
        as_root mkdir -p "$cluster_dir" &&
        printf '# Removed by ./dev as soon as its packages are installed.\ncreate_main_cluster = off\n' |
            as_root tee "$cluster_file" >/dev/null
}

leave_no_trace() {
    as_root rm -f "$policy" "$cluster_file"
    as_root rmdir --ignore-fail-on-non-empty "$cluster_dir"
    if [[ -e $policy_saved || -L $policy_saved ]]; then
        as_root mv "$policy_saved" "$policy"
    fi
}

# Debian enables a server that it installs: ours stay off at boot, those of others are not touched.
disable_units() { # PACKAGE...
    local package unit
    for package; do
        case $package in
            nginx-light) unit=nginx ;;
            redis-server) unit=redis-server ;;
            postgresql-15) unit=postgresql ;;
            pgbouncer) unit=pgbouncer ;;
            prometheus) unit=prometheus ;;
            *) continue ;;
        esac
        as_root update-rc.d "$unit" disable
        # It refuses whoever is not dpkg, and dpkg's scripts say who they are by this variable.
        as_root env DPKG_MAINTSCRIPT_PACKAGE="$package" deb-systemd-helper disable "$unit.service"
    done
}
