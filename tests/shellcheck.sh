#!/bin/bash
# Every shell script passes shellcheck; those that dev sources are read as parts of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t scripts < <(
    find . -path './build*' -prune -o -path ./.run -prune -o -path ./.git -prune -o -path ./tools/dev -prune -o \
        -type f -exec awk 'FNR == 1 && /^#!.*[\/ ](ba)?sh( |$)/ { print FILENAME } { nextfile }' {} +
)
shellcheck --external-sources --check-sourced "${scripts[@]}"
