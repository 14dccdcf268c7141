# shellcheck shell=bash
# The JavaScript clients of tests/real_time: pinned tarballs from npm's registry, unpacked without npm.

node_modules=$root/.run/node_modules

fetch_node_packages() {
    local name version integrity
    while read -r name version integrity; do
        [[ -z $name || $name == '#'* ]] || fetch_node_package "$name" "$version" "$integrity"
    done <tests/real_time/packages.txt
}

# First under another name: what was interrupted leaves nothing that looks whole.
fetch_node_package() { # NAME VERSION INTEGRITY
    local target=$node_modules/$1 fresh=$node_modules/.new url=https://registry.npmjs.org/$1/-/$1-$2.tgz problem
    if [[ -f $target/.integrity && $(<"$target/.integrity") == "$3" ]]; then
        return
    fi
    say packages "fetching $1 $2 for node"
    rm -rf "$fresh"
    mkdir -p "$fresh/package"
    problem=$(curl -sSf --retry 2 --max-time 60 -o "$fresh/tarball" "$url" 2>&1) ||
        die "the tests need $1 $2 once, and it can't be fetched: ${problem##*$'\n'} ($url)"
    [[ $(integrity_of "$fresh/tarball") == "$3" ]] ||
        die "what came from $url is not what tests/real_time/packages.txt says"
    tar -xzf "$fresh/tarball" -C "$fresh/package" --strip-components=1 --no-same-owner
    printf '%s\n' "$3" >"$fresh/package/.integrity"
    rm -rf "$target"
    mv "$fresh/package" "$target"
    rm -rf "$fresh"
}

# The digest in npm's form.
integrity_of() { # FILE
    local bytes
    bytes=$(sha512sum "$1" | cut -c 1-128 | sed 's/../\\x&/g')
    printf 'sha512-%s\n' "$(printf '%b' "$bytes" | base64 -w 0)"
}
