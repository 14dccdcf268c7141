# shellcheck shell=bash
# How ./dev speaks: a short line for each step, one clear line on stderr for what stops it.

say() { # PART TEXT...
    printf '%-10s %s\n' "$1" "${*:2}"
}

die() {
    printf 'dev: %s\n' "$*" >&2
    exit 1
}
