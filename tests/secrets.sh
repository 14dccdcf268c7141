#!/bin/bash
# No log holds a token, a key or a field's value, at whatever level: pushes, pulls and refusals with a mark in them, then
# a look through all logs of the stack, those of the tests before included. Needs the variables that ./dev test sets.
set -euo pipefail

mark=mark-$RANDOM$RANDOM-that-no-log-may-hold
url=$MANA_TEST_URL
user=secrets-$RANDOM
token=$(curl -sSf "$MANA_TEST_IDENTITY_URL/token?user=$user")

push() { # BODY [TOKEN]
    curl -sS -o /dev/null -X POST "$url/sync/todo" -H "Authorization: Bearer ${2:-$token}" -H 'X-Client-Id: phone' -d "$1"
}

insert="{\"table\":\"t\",\"id\":\"1\",\"op\":\"insert\",\"data\":{\"x\":\"$mark\",\"updatedAt\":\"2026-01-02T00:00:00.000Z\"}}"
loser="{\"table\":\"t\",\"id\":\"1\",\"op\":\"update\",\"fields\":{\"x\":{\"value\":\"$mark\",\"at\":\"2026-01-01T00:00:00.000Z\"}}}"
unstorable="{\"table\":\"t\",\"id\":\"2\",\"op\":\"insert\",\"data\":{\"x\":\"$mark\\u0000\",\"y\":1e400}}"
push "{\"since\":\"\",\"changes\":[$insert,$loser,$unstorable]}"
push "{\"since\":\"\",\"changes\":[{\"table\":\"t\",\"id\":\"1\",\"op\":\"$mark\"}]}"
push "{\"$mark\":"
push '{"since":"","changes":[]}' "$mark"
push '{"since":"","changes":[]}' "$token$mark"
curl -sS -o /dev/null "$url/sync/todo/pull?collection=t&since=$mark&token=$mark" -H "Authorization: Bearer $token"
curl -sS -o /dev/null --max-time 1 "$url/sync/todo/stream?since=$mark&token=$mark" -H "Authorization: Bearer $token" || true
curl -sS -o /dev/null "$url/sync/todo/pull?collection=t&since=%00$mark" -H "Authorization: Basic $mark"

found=0
look_for() { # WHAT PATTERN
    if grep -qE -e "$2" "$MANA_TEST_RUN_DIR"/log/*; then
        printf '%s in a log:\n' "$1"
        grep -lE -e "$2" "$MANA_TEST_RUN_DIR"/log/*
        found=1
    fi
}
look_for "a field's value, or a part of a request" "$mark"
look_for "a token" 'eyJ[A-Za-z0-9_-]{10,}\.'
look_for "the service key" "$(sed -n 's/^MANA_SERVICE_KEY=//p' "$MANA_TEST_RUN_DIR/settings")"
exit "$found"
