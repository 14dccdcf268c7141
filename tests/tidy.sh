#!/bin/bash
# clang-tidy is content with the source files. One that passed is not read again until it, a header or .clang-tidy changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=.run/tidy-cache
mkdir -p "$cache"

common=$({ cat .clang-tidy && clang-tidy --version && find shared fcgi_worker ws_hub -name '*.hpp' -print0 | sort -z | xargs -0 -r cat; } | sha256sum)

key_of() { # FILE
    { printf '%s %s\n' "$1" "$common" && cat "$1"; } | sha256sum | cut -d ' ' -f 1
}

# Exported for the shells that xargs starts.
tidy_one() { # FILE KEY
    if clang-tidy --quiet -p build "$1" 2>/dev/null; then
        : >".run/tidy-cache/$2"
    else
        printf 'clang-tidy: %s is not in order\n' "$1"
        return 1
    fi
}
export -f tidy_one

find shared fcgi_worker -name '*.cpp' | sort | while read -r file; do
    key=$(key_of "$file")
    if [[ ! -e $cache/$key ]]; then printf '%s\0%s\0' "$file" "$key"; fi
done | xargs -0 -r -n 2 -P 2 bash -c 'tidy_one "$@"' tidy
