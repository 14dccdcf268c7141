# shellcheck shell=bash
# package: the Debian package, of the files that git knows or would take, in .run/package/. --try boots a fresh Debian 12
# in a folder, and installs, runs, upgrades, removes and purges it there (tests/hosting/on_debian.sh).

package_packages=(debhelper dpkg-dev lintian systemd)
try_packages=(debootstrap systemd-container)
# What the fresh Debian has beside the package, as a host for it would.
host_packages=(systemd-sysv dbus nginx-light postgresql redis-server curl ca-certificates openssl python3-jwt
    python3-cryptography)
base_days=7 # so old may the kept Debian be
try_pid=""

package() { # [--try]
    [[ $# == 0 || ($# == 1 && $1 == --try) ]] || die "package knows --try, and not $*"
    use_instance package
    lock_instance
    install_packages "${build_packages[@]}" "${package_packages[@]}"
    build_package
    say package "$package_file"
    if [[ ${1:-} == --try ]]; then try_package; fi
}

# The version is meson.build's, and the commit that it was built of.
package_version() {
    local version
    version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" meson.build)
    printf '%s+git%s.%s\n' "$version" "$(git log -1 --format=%cd --date=format:%Y%m%d%H%M%S)" \
        "$(git rev-parse --short=7 HEAD)"
}

# Sets package_file.
build_package() {
    local version built
    version=$(package_version)
    package_file=$run_dir/mana-sync_${version}_$(dpkg --print-architecture).deb
    rm -rf "$run_dir/build" "$run_dir"/*.deb
    mkdir -p "$run_dir/build/mana-sync"
    copy_sources "$run_dir/build/mana-sync"
    changelog "$version" >"$run_dir/build/mana-sync/debian/changelog"
    say package "building; what it says is in $run_dir/build.log"
    run_dpkg "$run_dir/build/mana-sync" >"$run_dir/build.log" 2>&1 ||
        die "the build failed: $(tail -n 1 "$run_dir/build.log") (all of it: $run_dir/build.log)"
    built=$run_dir/build/$(basename "$package_file")
    mv "$built" "$package_file"
    rm -rf "$run_dir/build"
    say lintian "$(basename "$package_file")"
    lintian --allow-root --fail-on error,warning "$package_file" || die "lintian found errors or warnings"
}

copy_sources() { # FOLDER
    git ls-files -z --cached --others --exclude-standard |
        while IFS= read -rd '' file; do
            if [[ -e $file ]]; then printf '%s\0' "$file"; fi
        done |
        tar --null --files-from=- -cf - | tar -xf - -C "$1"
}

# debhelper gives the build a home of its own, where ccache would find nothing.
run_dpkg() { # FOLDER
    (cd "$1" && CXX="ccache g++" CCACHE_DIR=$(ccache --get-config cache_dir) CCACHE_BASEDIR=$1 CCACHE_NOHASHDIR=1 \
        DEB_BUILD_OPTIONS="nocheck noddebs" dpkg-buildpackage --build=binary --no-sign)
}

changelog() { # VERSION
    cat <<END
mana-sync ($1) unstable; urgency=medium

  * Built from $(git rev-parse HEAD).

 -- mana-sync maintainers <mana-sync@localhost>  $(git log -1 --format=%cD)
END
}

try_package() {
    ((EUID == 0)) || die "package --try boots a Debian of its own, for which it must be root"
    install_packages "${try_packages[@]}"
    try_root=$run_dir/debian
    trap end_debian EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    end_debian
    make_debian
    boot_debian
    say try "what a host of mana-sync would see:"
    in_debian /root/on_debian.sh "/root/$(basename "$package_file")" /root/identity.py || die "the package failed its try"
    say try "the package installs, runs, upgrades and goes"
}

# A Debian with the servers beside mana-sync is kept for some days; the package's own dependencies are fetched here, for
# it will have no network.
make_debian() {
    local base=$run_dir/debian-12.tar
    if [[ -z $(find "$base" -mtime "-$base_days" 2>/dev/null) ]]; then
        say try "fetching Debian 12"
        make_base "$base" >"$run_dir/debootstrap.log" 2>&1 || die "no Debian: $(tail -n 1 "$run_dir/debootstrap.log") (all of it: $run_dir/debootstrap.log)"
    fi
    rm -rf "$try_root"
    mkdir "$try_root"
    tar -xpf "$base" -C "$try_root"
    cp "$package_file" tests/hosting/on_debian.sh tests/identity/identity.py "$try_root/root/"
    apt_in_debian install --download-only "/root/$(basename "$package_file")" >"$run_dir/fetch.log" 2>&1 ||
        die "the package's dependencies can't be had: $(tail -n 1 "$run_dir/fetch.log") (all of it: $run_dir/fetch.log)"
    rm "$try_root/usr/sbin/policy-rc.d"
}

# Chained by &&: where a function stands in a condition, bash does not heed set -e inside it.
make_base() { # TARBALL
    debootstrap --variant=minbase bookworm "$try_root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" &&
        printf '#!/bin/sh\nexit 101\n' >"$try_root/usr/sbin/policy-rc.d" &&
        chmod 755 "$try_root/usr/sbin/policy-rc.d" &&
        apt_in_debian update &&
        apt_in_debian install "${host_packages[@]}" &&
        tar -cpf "$1.new" --one-file-system -C "$try_root" . &&
        mv "$1.new" "$1"
}

apt_in_debian() { # APT_ARG...
    # shellcheck disable=SC2016 # the inner bash reads them
    unshare --mount --propagation private bash -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' bash "$try_root" \
        env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends "$@"
}

# With a network of its own, so that its servers meet none of this machine's. The cgroup and the mounts are its own too,
# and go with it.
boot_debian() {
    local try nspawn=(systemd-nspawn --quiet --directory="$try_root" --boot --private-network --console=pipe)
    if [[ ! -d /run/systemd/system ]]; then nspawn+=(--register=no --keep-unit); fi
    unshare --mount --propagation private bash -c 'source tools/dev/package.sh; own_cgroup; mkdir -p /run/systemd
        [[ -d /run/systemd/system ]] || mount -t tmpfs tmpfs /run/systemd; exec "$@"' bash "${nspawn[@]}" \
        >"$run_dir/log/debian.log" 2>&1 </dev/null 9>&- &
    try_nspawn=$!
    for ((try = 0; try < 300; try++)); do
        kill -0 "$try_nspawn" 2>/dev/null || die "Debian did not boot: $(tail -n 1 "$run_dir/log/debian.log")"
        try_pid=$(pgrep --parent "$try_nspawn" || true)
        if [[ -n $try_pid ]] && in_debian systemctl is-system-running --wait >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    die "Debian did not come up within 30 s: $(in_debian systemctl --failed --no-legend || true)"
}

# Without systemd on this machine nobody else makes one. Its name is that of this process.
own_cgroup() {
    local top
    for top in /sys/fs/cgroup /sys/fs/cgroup/{systemd,unified}; do
        [[ -w $top/cgroup.procs && ! -d /run/systemd/system ]] || continue
        mkdir -p "$top/mana-sync-try"
        echo $$ >"$top/mana-sync-try/cgroup.procs"
    done
}

in_debian() { # COMMAND...
    nsenter --target "$try_pid" --mount --uts --ipc --net --pid --cgroup -- "$@"
}

# nspawn's own processes end with it, and so do its mounts, for they are in a namespace of their own.
end_debian() {
    local top
    if [[ -n ${try_nspawn:-} ]]; then
        kill -KILL "$try_pid" 2>/dev/null || true # its init: everything in it ends too
        kill "$try_nspawn" 2>/dev/null || true
        wait "$try_nspawn" 2>/dev/null || true
        try_nspawn=""
    fi
    rm -rf --one-file-system "$run_dir/debian"
    for top in /sys/fs/cgroup /sys/fs/cgroup/{systemd,unified}; do
        if [[ -d $top/mana-sync-try ]]; then
            find "$top/mana-sync-try" -depth -type d -exec rmdir {} + 2>/dev/null || true
        fi
    done
}
