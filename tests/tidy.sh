#!/bin/bash
# clang-tidy is content with what changed: the source files of the last commit and of the work tree, since a file takes it
# the better part of a minute. tests/tidy.sh --all reads every one; TIDY_SINCE=REV those changed since REV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sources=(shared fcgi_worker ws_hub admin)
since=${TIDY_SINCE:-HEAD~1}

changed() {
    if [[ ${1:-} == --all ]] || ! git rev-parse --quiet --verify "$since" >/dev/null; then
        git ls-files -- "${sources[@]}"
    else
        git diff --name-only --diff-filter=d "$since" -- "${sources[@]}"
        git ls-files --others --exclude-standard -- "${sources[@]}"
    fi | grep '\.cpp$' | sort -u
}

# Exported for the shells that xargs starts.
tidy_one() { # FILE
    clang-tidy --quiet -p build "$1" 2>/dev/null || {
        printf 'clang-tidy: %s is not in order\n' "$1"
        return 1
    }
}
export -f tidy_one

{ changed "${1:-}" || true; } | xargs -r -n 1 -P 2 bash -c 'tidy_one "$@"' tidy
