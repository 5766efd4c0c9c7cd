#!/usr/bin/env bash
# The whole job, for real, in ./.demo: a Caddy as the third party, a ledger beside it, an upgrade that
# changes the Caddy, somebody else who changes it too, a rollback that is killed in the middle and goes
# on, a person's decision, and the Caddy back where it was.
#
# Needs Go, curl and bash; no root. Leaves nothing running, and nothing outside ./.demo but what any
# go build leaves in Go's own caches. Exits 0 only if every line marked "ok" was checked and held.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
examples=$top/docs/examples
demo=$top/.demo
run=$demo/run
claims=0

# ---- talking ----------------------------------------------------------------------------------------

title() { printf '\n--- %s\n' "$1"; }
shown() { sed 's/^/    /'; }

fail() {
  printf '\n  FELL SHORT: %s\n' "$1"
  [ ! -s "$run/ledgerd.log" ] || { echo "  the end of ledgerd's log:" && tail -n 15 "$run/ledgerd.log" | shown; }
  exit 1
}

# claim TEXT COMMAND...: the command must succeed.
claim() {
  local text=$1
  shift
  "$@" || fail "$text"
  claims=$((claims + 1))
  printf '  ok  %s\n' "$text"
}

is() { [ "$1" = "$2" ] || { printf '      got %s, want %s\n' "$1" "$2" && false; }; }
above() { [ "$1" -gt "$2" ] || { printf '      got %s, want more than %s\n' "$1" "$2" && false; }; }

# ---- processes --------------------------------------------------------------------------------------

caddy_pid='' ledgerd_pid='' operator_pid='' working_pid=''

stop() { # PID [SIGNAL]: ends a process of ours and waits for its end
  [ -n "$1" ] || return 0
  kill "-${2:-TERM}" "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

cleanup() {
  local status=$?
  trap - EXIT
  stop "$working_pid"
  stop "$operator_pid" KILL
  stop "$ledgerd_pid"
  stop "$caddy_pid"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# within SECONDS COMMAND...: tries the command until it succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# working TEXT COMMAND...: says what is done, that it is still being done, and how long it took. What the
# command prints on stdout is kept in $run/done.
working() {
  local text=$1 begin=$SECONDS status=0
  shift
  printf '    %s ' "$text"
  "$@" >"$run/done" 2>"$run/trouble" &
  working_pid=$!
  while kill -0 "$working_pid" 2>/dev/null; do
    sleep 1
    [ $(((SECONDS - begin) % 5)) -ne 0 ] || printf '.'
  done
  wait "$working_pid" || status=$?
  working_pid=''
  printf ' %d s\n' $((SECONDS - begin))
  [ "$status" -eq 0 ] || { shown <"$run/trouble" && fail "$text"; }
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

answers() { curl -fs -m 2 -o /dev/null "$1"; }

start_ledgerd() {
  "$demo/bin/ledgerd" serve --config "$run/ledgerd.yaml" >>"$run/ledgerd.log" 2>&1 &
  ledgerd_pid=$!
  within 20 answers "$ROLLBACK_URL/readyz" || fail "ledgerd is not ready"
}

# ---- looking ----------------------------------------------------------------------------------------

sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

config() { curl -fsS "$EDGE/config$1"; }

api() { curl -fsS "$ROLLBACK_URL/v1$1" -H "Authorization: Bearer $ROLLBACK_TOKEN"; }

# text NAME, number NAME: the first member of that name in the JSON on stdin.
text() { { grep -o "\"$1\": *\"[^\"]*\"" || true; } | head -n 1 | cut -d '"' -f 4; }
number() { { grep -o "\"$1\": *[0-9]*" || true; } | head -n 1 | grep -o '[0-9]*$' || echo 0; }

count() { api "/windows/$window" | number "$1"; }
window_is() { is "$(api "/windows/$window" | text state)" "$1" >/dev/null; }
undone_is_above() { above "$(count undone)" "$1" >/dev/null; }

# writes: the changing calls of the ledger, as Caddy itself logged them: method and path.
writes() {
  { grep '"received request"' "$run/caddy.log" || true; } | { grep '"User-Agent":\["sideledger' || true; } |
    sed -n 's/.*"method":"\(POST\|PUT\|PATCH\|DELETE\)".*"uri":"\([^"]*\)".*/\1 \2/p'
}

# ---- 1. what it runs on -----------------------------------------------------------------------------

rm -rf "$run"
mkdir -p "$run" "$demo/home" "$demo/tmp"

title "what it runs on, in ./.demo: a few seconds, the first time some minutes"
cd "$top"
# Caddy's files and everything else that a home folder collects go below ./.demo; Go's caches are the usual ones.
for name in GOENV GOPATH GOMODCACHE GOCACHE; do
  value=$(go env "$name") && export "$name=$value"
done
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME GOBIN
export HOME=$demo/home TMPDIR=$demo/tmp
working "fetching the Go modules that are not here yet" go list -deps ./cmd/rollback ./cmd/ledgerd
CGO_ENABLED=0 working "building rollback and ledgerd" go build -trimpath -o "$demo/bin/" ./cmd/rollback ./cmd/ledgerd
working "fetching a Caddy: Debian's package, or else built from its source" "$examples/get-caddy.sh" "$demo/caddy"
caddy=$(tail -n 1 "$run/done")
echo "    $("$demo/bin/rollback" version | head -n 1)"
echo "    Caddy $("$caddy" version | cut -d ' ' -f 1)"
export PATH="$demo/bin:$PATH"

title "a third party: Caddy on free ports, with two webhooks and an import at 03:00"
admin=$(free_port) edge=$(free_port) jobs=$(free_port)
export EDGE=http://127.0.0.1:$admin
cat >"$run/caddy.json" <<JSON
{"admin": {"listen": "127.0.0.1:$admin"},
 "apps": {"http": {"servers": {
  "edge": {"listen": ["127.0.0.1:$edge"], "automatic_https": {"disable": true},
   "max_header_bytes": 16384, "read_timeout": "10s",
   "routes": [
    {"@id": "status", "match": [{"path": ["/status"]}], "handle": [{"handler": "static_response", "body": "v1"}]},
    {"@id": "legacy-hook", "match": [{"path": ["/hooks/legacy"]}], "handle": [{"handler": "static_response", "status_code": 204}]}]},
  "jobs": {"listen": ["127.0.0.1:$jobs"], "automatic_https": {"disable": true},
   "routes": [
    {"@id": "import-0300", "match": [{"path": ["/import"]}], "handle": [{"handler": "static_response", "body": "import accepted"}]}]}}}}}
JSON
"$caddy" run --config "$run/caddy.json" >"$run/caddy.log" 2>&1 &
caddy_pid=$!
within 20 answers "$EDGE/config/" || fail "Caddy is not ready: $(tail -n 3 "$run/caddy.log")"
config /apps/http/servers/edge >"$run/before.json"
config /apps/http/servers/jobs >"$run/jobs-before.json"
echo "    before  sha256 $(sha256 <"$run/before.json")  GET $EDGE/config/apps/http/servers/edge"

title "the ledger: ledgerd with a fresh SQLite file"
port=$(free_port)
export ROLLBACK_URL=http://127.0.0.1:$port
# rate: four calls a second, so that the rollback has a middle to be killed in.
cat >"$run/ledgerd.yaml" <<YAML
listen: 127.0.0.1:$port
database: sqlite:$run/ledger.db
systems:
  edge:
    remediator: http
    profile: caddy
    url: $EDGE
    allow_private: true
    rate: {per_second: 4, concurrent: 1}
YAML
shown <"$run/ledgerd.yaml"
ledgerd migrate --config "$run/ledgerd.yaml" >"$run/ledgerd.log" 2>&1
ROLLBACK_TOKEN=$(ledgerd token create --role operator --config "$run/ledgerd.yaml")
export ROLLBACK_TOKEN
start_ledgerd
window=$(rollback window open "edge 4.2" -o name)
echo "    window $window"

# ---- 2. the upgrade ---------------------------------------------------------------------------------

title "docs/examples/upgrade.sh, with a recorder token for this window alone"
recorder=$(ledgerd token create --role recorder --window "$window" --config "$run/ledgerd.yaml")
ROLLBACK_TOKEN=$recorder ROLLBACK_WINDOW=$window "$examples/upgrade.sh" || fail "upgrade.sh failed"
config /apps/http/servers/edge >"$run/after.json"
echo "    after   sha256 $(sha256 <"$run/after.json")"
entries=$(api "/windows/$window/entries" | grep -o '"seq": *[0-9]*' | wc -l | tr -d ' ')
claim "9 side effects are recorded, and the import at 03:00 is off" is "$entries $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$jobs/import")" "9 503"

title "somebody else changes the read timeout to 90s"
curl -fsS -A somebody-else -X PATCH "$EDGE/config/apps/http/servers/edge/read_timeout" \
  -H 'Content-Type: application/json' --data '"90s"'
echo "    read_timeout is now $(config /apps/http/servers/edge/read_timeout)"

# ---- 3. plan ----------------------------------------------------------------------------------------

title "rollback plan --window ID"
sleep 2 # the intent that nobody reported on may become an effect for two seconds; then looking decides
rollback plan --window "$window" | tee "$run/plan.txt" | shown
claim "the plan changed nothing at the third party" is "$(writes | wc -l | tr -d ' ')" 0

# ---- 4. rollback, killed in the middle --------------------------------------------------------------

title "rollback --window ID, and kill -9 of ledgerd in the middle"
rollback --window "$window" --reason "edge 4.2 loses requests" >"$run/rollback.txt" 2>&1 &
operator_pid=$!
within 60 undone_is_above 1 || fail "the rollback undid nothing in 60 s: $(cat "$run/rollback.txt")"
middle=$(api "/windows/$window")
kill -KILL "$ledgerd_pid"
wait "$ledgerd_pid" 2>/dev/null || true
ledgerd_pid=''
at_kill=$(writes | wc -l | tr -d ' ')
echo "    killed with $(number undone <<<"$middle") undone and $(number remaining <<<"$middle") remaining; $at_kill writes so far"
claim "it was killed in the middle" above "$(number remaining <<<"$middle")" 0

title "ledgerd starts again; nobody asks for anything"
start_ledgerd
status=0
wait "$operator_pid" || status=$?
operator_pid=''
shown <"$run/rollback.txt"
claim "it went on by itself: $(($(writes | wc -l) - at_kill)) more writes" above "$(writes | wc -l)" "$at_kill"
claim "rollback exits 3: finished, and a person is needed" is "$status" 3
claim "the window is stuck, and nothing says it is rolled back" is "$(api "/windows/$window" | text state)" stuck
claim "no undo was sent twice" is "$(writes | sort | uniq -d)" ""
claim "what somebody else did was not overwritten" is "$(config /apps/http/servers/edge/read_timeout)" '"90s"'

# ---- 5. a person decides ----------------------------------------------------------------------------

title "rollback resolve ENTRY --undo: the drifted entry, by a person's word"
drifted=$(api "/windows/$window/entries?state=stuck" | text id)
claim "one entry is stuck, drifted" is "$(api "/entries/$drifted" | text state) $(api "/entries/$drifted" | text reason)" "stuck drifted"
rollback resolve "$drifted" --undo --reason "agreed with the one who set 90s" 2>&1 | shown

within 60 window_is rolled_back || fail "the window is not rolled back: $(api "/windows/$window")"
claim "the window is rolled back" window_is rolled_back

title "rollback --window ID, again"
total=$(writes | wc -l | tr -d ' ') digest=$(config / | sha256)
status=0
rollback --window "$window" --reason "once more" >"$run/again.txt" 2>&1 || status=$?
shown <"$run/again.txt"
claim "it exits 0: nothing is left open" is "$status" 0
claim "it wrote nothing: still $total writes in Caddy's log, the same configuration" is "$(writes | wc -l | tr -d ' ') $(config / | sha256)" "$total $digest"

# ---- 6. before and after ----------------------------------------------------------------------------

title "before and after, from Caddy's own API"
config /apps/http/servers/edge >"$run/rolled-back.json"
for moment in before after rolled-back; do
  printf '    %-12s sha256 %s  %d bytes\n' "$moment" "$(sha256 <"$run/$moment.json")" "$(wc -c <"$run/$moment.json")"
done
claim "the upgrade changed it" test "$(sha256 <"$run/before.json")" != "$(sha256 <"$run/after.json")"
claim "it is back, byte for byte" cmp -s "$run/before.json" "$run/rolled-back.json"
claim "the protection is still there: the import at 03:00 answers 503" is "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$jobs/import")" 503
rollback journal --window "$window" --out "$run/journal.jsonl" 2>/dev/null
rollback journal verify "$run/journal.jsonl" | shown || fail "the journal does not verify"
claim "the journal of the window verifies offline" test -s "$run/journal.jsonl"

printf '\n%d claims held. What was printed, the journal and the logs are in ./.demo/run; `make clean` takes ./.demo away, %s.\n' \
  "$claims" "$(du -sh "$demo" | cut -f 1)"
