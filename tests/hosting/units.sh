#!/bin/bash
# The units as they are installed: systemd finds no fault with them, and each service is confined as docs/operations.md
# says. The manual pages are well formed, and name each setting that the programs have, as the settings file does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/hosting/installed.sh
source tests/hosting/installed.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree units=$work/units
install_into "$tree"
failed=0

fail() {
    printf '%s\n' "$*"
    failed=1
}

# Copies, whose programs are those of the tree.
mkdir "$units"
find "$tree" -path "*/systemd/system/mana-sync*" -exec cp -t "$units" {} +
sed -i -E "s,^(Exec[A-Za-z]*=)(/usr/[^ ]*/mana-sync),\1$tree\2," "$units"/*.service
said=$(SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no "$units"/* 2>&1) || fail "systemd-analyze verify fails"
[[ -z $said ]] || fail "$said"

most=1.5
for unit in worker hub migrate; do
    name=mana-sync-$unit.service
    score=$(systemd-analyze security --offline=true --no-pager "$units/$name" | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
    awk -v score="$score" -v most="$most" 'BEGIN { exit !(score != "" && score <= most) }' ||
        fail "$name has the score $score, more than $most"
    grep -qF "| \`$name\` | $score |" docs/operations.md || fail "$name has the score $score, and docs/operations.md another one"
done

for page in "$installed_prefix"/share/man/man*/mana-sync*; do
    mandoc -T lint -W warning "$page" || fail "a manual page is not well formed"
done

"$installed_prefix/sbin/mana-sync-worker" --help | sed -n 's/^  \([A-Z_]*\)  (.*/\1/p' >"$work/settings"
sed -n 's/^\.It Ev //p' "$installed_prefix/share/man/man5/mana-sync.env.5" >"$work/manual"
sed -n 's/^#\([A-Z_]*\)=.*/\1/p' "$installed_etc/mana-sync/mana-sync.env" >"$work/sample"
[[ -s $work/settings ]] || fail "--help names no settings"
diff "$work/settings" "$work/manual" || fail "mana-sync.env(5) names other settings than the programs (<)"
diff "$work/settings" "$work/sample" || fail "mana-sync.env has other settings than the programs (<)"

# Without a line in the settings nginx lets in whom the hub lets in.
"$installed_prefix/sbin/mana-sync-nginx-conf" -e "$installed_etc/mana-sync/mana-sync.env" -o - | sed -n 's/^"~^\(.*\)\$".*/\1/p' |
    sed 's/[\]//g' | paste -sd , >"$work/origins"
sed -n 's/^#CORS_ORIGINS=//p' "$installed_etc/mana-sync/mana-sync.env" | diff - "$work/origins" ||
    fail "mana-sync-nginx-conf has another default than CORS_ORIGINS (<)"
exit "$failed"
