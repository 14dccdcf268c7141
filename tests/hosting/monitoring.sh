#!/bin/bash
# Alert rules and dashboard: they are well formed, the alerts come when they should, every question of the dashboard is
# one that Prometheus understands, and every metric and label value named is one that the running stack has.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root/monitoring"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

quietly() { # COMMAND...
    "$@" >"$work/said" 2>&1 || {
        cat "$work/said"
        exit 1
    }
}

quietly promtool check rules mana-sync.rules.yml
quietly promtool test rules rules_test.yml


# What has labels that are not known before is not there before it was counted once: a connection that ends.
token=$(curl -sSf "$MANA_TEST_IDENTITY_URL/token?user=monitoring")
curl -sS -o /dev/null --max-time 1 "$MANA_TEST_URL/sync/todo/stream" -H "Authorization: Bearer $token" 2>/dev/null || true
for ((try = 0; try < 100; try++)); do
    curl -sSf "$MANA_TEST_URL/metrics" >"$work/metrics"
    if grep -q '^mana_sync_hub_closed_total{' "$work/metrics"; then break; fi
    sleep 0.1
done

/usr/bin/python3 - "$work" <<'END'
import json, re, subprocess, sys

work = sys.argv[1]
metrics = open(f'{work}/metrics').read()
series = {}  # name: [{label: value}]
for line in metrics.splitlines():
    if line and not line.startswith('#'):
        name, labels = re.match(r'([a-z_]+)(?:\{(.*)\})? ', line).groups()
        series.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels or '')))

dashboard = json.load(open('mana-sync-dashboard.json'))
questions = [target['expr'] for panel in dashboard['panels'] for target in panel['targets']]
rules = open('mana-sync.rules.yml').read()

failed = []
# What the dashboard asks, as rules of a file of their own: promtool reads PromQL there.
with open(f'{work}/questions.yml', 'w') as file:
    plain = [text.replace('$__rate_interval', '5m').replace('$instance', '.*') for text in questions]
    json.dump({'groups': [{'name': 'dashboard', 'rules': [
        {'record': f'question_{i}', 'expr': text} for i, text in enumerate(plain)]}]}, file)
said = subprocess.run(['promtool', 'check', 'rules', f'{work}/questions.yml'], capture_output=True, text=True)
if said.returncode:
    failed.append(said.stdout + said.stderr)

asked = 0
for name, matchers in re.findall(r'\b(mana_sync_[a-z_]+)(?:\{([^}]*)\})?', '\n'.join(questions + [rules])):
    asked += 1
    if name not in series:
        failed.append(f'there is no metric {name}')
        continue
    for label, operator, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers):
        if label == 'instance':
            continue
        if not any(re.fullmatch(value if operator == '=~' else re.escape(value), one.get(label, '')) for one in series[name]):
            failed.append(f'no {name} has {label}{operator}"{value}"')
if asked < 50:
    failed.append(f'only {asked} metrics found in rules and dashboard')

# Each alert is explained, and nothing else is.
operations = open('../docs/operations.md').read()
alerts = set(re.findall(r'alert: (\w+)', rules))
explained = set(re.findall(r'^\| `(ManaSync\w+)`', operations, re.M))
for name in sorted(alerts ^ explained):
    failed.append(f'{name} is in only one of rules and docs/operations.md')

print('\n'.join(dict.fromkeys(failed)))
sys.exit(bool(failed))
END
