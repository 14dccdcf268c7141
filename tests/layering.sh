#!/bin/bash
# An #include names only what its folder may use; arrows of dependency go down only (see meson.build).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0

# FOLDER's files may include the project's own files from ALLOWED folders only.
only() { # FOLDER ALLOWED...
    local folder=$1 allowed
    shift
    allowed=$(printf '%s|' "$@")
    if forbidden=$(includes_of "$folder" | grep -Ev "#include \"(${allowed%|})/"); then
        printf '%s may include only %s:\n%s\n' "$folder" "$*" "$forbidden"
        failed=1
    fi
}

# Every include in quotes, with its file and line: one that does not start at the root of the repository fails too.
includes_of() { # FOLDER
    grep -rnE --include='*.[ch]pp' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1" | sed -E 's/#[[:space:]]*include[[:space:]]*"/#include "/'
}

only shared/sync shared/sync
only shared/runtime shared/runtime
only shared/metrics shared/metrics shared/runtime
only shared/store shared/store shared/sync shared/runtime
only shared/gate shared/gate shared/store shared/sync shared/runtime
only shared/http shared/http shared/sync
only fcgi_worker fcgi_worker shared
only ws_hub ws_hub shared
only admin admin shared
exit "$failed"
