#!/usr/bin/env bash
# An upgrade script whose side effects at a third party are recorded before they are made.
#
# The third party is a Caddy (its admin API at $EDGE); the ledger knows it as the system "edge".
# The command `rollback` and plain curl are used side by side: both post the same entries.
#
#   EDGE             address of Caddy's admin API
#   ROLLBACK_URL     address of the ledger
#   ROLLBACK_TOKEN   a recorder token of the window: it can record, and nothing else
#   ROLLBACK_WINDOW  the window's id
set -euo pipefail
: "${EDGE:?}" "${ROLLBACK_URL:?}" "${ROLLBACK_TOKEN:?}" "${ROLLBACK_WINDOW:?}"

say() { printf '  upgrade: %s\n' "$1"; }

# caddy METHOD PATH [JSON]: one call of Caddy's admin API. Fails on anything but success.
caddy() {
  curl -fsS -X "$1" "$EDGE$2" -H 'Content-Type: application/json' ${3:+--data "$3"}
}

# ledger PATH JSON: one call of the ledger; prints the answer.
ledger() {
  curl -fsS "$ROLLBACK_URL/v1$1" -H "Authorization: Bearer $ROLLBACK_TOKEN" \
    -H 'Content-Type: application/json' --data "$2"
}

# id_of: the id of the entry in an answer of the ledger.
id_of() { grep -o '"id": *"[^"]*"' | head -n 1 | cut -d '"' -f 4; }

# Three lines that wrap a command: the intent is durable before the command starts, the ledger takes
# the images before and after by itself, and the command's exit status stays what it was.
add_route() { # ID PATH STATUS
  rollback record --system edge --kind caddy.route --action create --capture \
    --resource "{\"id\":\"$1\",\"server\":\"edge\"}" --source "upgrade.sh:${BASH_LINENO[0]}" -- \
    curl -fsS -X POST "$EDGE/config/apps/http/servers/edge/routes" -H 'Content-Type: application/json' \
    --data "{\"@id\":\"$1\",\"match\":[{\"path\":[\"$2\"]}],\"handle\":[{\"handler\":\"static_response\",\"status_code\":$3}]}"
}

say "register the partner's webhook: a route created"
add_route partner-hook /hooks/partner 202

say "larger request headers: a config value changed, recorded with plain curl"
header=/config/apps/http/servers/edge/max_header_bytes
before=$(caddy GET "$header")
entry=$(ledger "/windows/$ROLLBACK_WINDOW/entries" "{
  \"system\": \"edge\", \"kind\": \"caddy.config\", \"action\": \"update\",
  \"resource\": {\"path\": \"/apps/http/servers/edge/max_header_bytes\"},
  \"before\": $before, \"after\": 65536, \"source\": \"upgrade.sh:$LINENO\"}" | id_of)
caddy PATCH "$header" 65536
ledger "/entries/$entry/applied" '{}' >/dev/null

say "slower clients: a config value changed"
rollback record --system edge --kind caddy.config --action update --capture --tag timeouts \
  --resource '{"path":"/apps/http/servers/edge/read_timeout"}' --source "upgrade.sh:$LINENO" -- \
  curl -fsS -X PATCH "$EDGE/config/apps/http/servers/edge/read_timeout" \
  -H 'Content-Type: application/json' --data '"60s"'

say "no import at 03:00 while the schema is half new: a protection, which a rollback leaves alone"
rollback record --system edge --kind caddy.route --action update --capture --on-rollback retain \
  --resource '{"id":"import-0300","server":"jobs"}' --source "upgrade.sh:$LINENO" -- \
  curl -fsS -X PATCH "$EDGE/id/import-0300" -H 'Content-Type: application/json' \
  --data '{"@id":"import-0300","match":[{"path":["/import"]}],"handle":[{"handler":"static_response","status_code":503,"body":"imports are off"}]}'

say "the old webhook goes: a route deleted"
rollback record --system edge --kind caddy.route --action delete --capture \
  --resource '{"id":"legacy-hook","server":"edge","index":1}' --source "upgrade.sh:$LINENO" -- \
  curl -fsS -X DELETE "$EDGE/id/legacy-hook"

say "one route for each tenant"
for tenant in ash birch cedar; do
  add_route "tenant-$tenant" "/tenants/$tenant" 200
done

say "one more intent, and here the script breaks off: nobody says whether it happened"
ledger "/windows/$ROLLBACK_WINDOW/entries" '{
  "system": "edge", "kind": "caddy.route", "action": "create", "perform_within": "2s",
  "resource": {"id": "tenant-dogwood", "server": "edge"}, "before": null,
  "note": "the script ended before the call"}' >/dev/null
