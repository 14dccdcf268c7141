#!/bin/bash
# The C++ files are formatted as .clang-format says. To mend one: clang-format -i FILE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
find fcgi_worker ws_hub admin shared systemd tests -name '*.[ch]pp' -print0 | xargs -0 -r clang-format --dry-run -Werror
