package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sideledger/api/wire"
	"sideledger/ledger/journal"
)

// canaries are the planted secrets by kind. All but the last few are strange enough to stand nowhere by chance.
func canaries() map[string]string {
	out := map[string]string{}
	for i, kind := range []string{
		"bearer token", "basic password", "header key", "hmac key", "sigv4 secret", "sigv4 session token", "rotated credential",
		"text before", "text after", "key of an object", "element of an array", "unlisted copy", "copy in base64", "copy in hex", "copy in a query",
		"undo body literal", "undo body of its own", "undo header", "read query", "guard value", "captured before", "captured after", "reported after",
		"shown as drift", "late fact", "batch", "their cookie", "their header", "their error body", "their challenge", "their redirect", "their retry-after",
		"command's variable", "command's argument", "command's stderr", "command's detail", "userinfo in a url", "credential in place of its reference",
		"key in place of its reference", "refused entry", "refused twice a name", "refused in a file", "spooled", "taken from output", "unknown fingerprint",
	} {
		out[kind] = fmt.Sprintf("cnry%02dx7Qz%cvK9", i, 'A'+rune(i%26))
	}
	out["escaped text"] = `cnry"7Q\z&/é<k9`
	out["unicode text"] = "канарейка-ключ-97"
	out["number"] = "918273645546372"
	return out
}

// A canaryRun is the real server and the real command at a rude third party, and everything they said.
type canaryRun struct {
	*testing.T
	*server
	c       map[string]string
	party   *rude
	url     string
	all     archive
	token   string
	window  string
	command string // the rollback command
	ledger  canaryLedger
	n       int
	bodies  [][32]byte // SHA-256 of what was posted: with a guessable secret in it that is as good as the secret
}

const canaryConfig = `listen: %[1]s
database: %[4]s
mirror: {folder: "%[2]s/mirror"}
systems:
  bearer: {remediator: http, url: "%[3]s", allow_private: true, credential: env:CNRY_BEARER, retry: {base: 1ms, cap: 5ms, attempts: 2}}
  basic: {remediator: http, url: "%[3]s", allow_private: true, credential: "file:%[2]s/basic", auth: {scheme: basic}, retry: {base: 1ms, cap: 5ms, attempts: 2}}
  head: {remediator: http, url: "%[3]s", allow_private: true, credential: env:CNRY_HEAD, auth: {scheme: header, name: X-Key}, retry: {base: 1ms, cap: 5ms, attempts: 2}}
  mac: {remediator: http, url: "%[3]s", allow_private: true, credential: env:CNRY_MAC, auth: {scheme: hmac}, retry: {base: 1ms, cap: 5ms, attempts: 2}}
  aws: {remediator: http, url: "%[3]s", allow_private: true, credential: env:CNRY_AWS, auth: {scheme: sigv4, region: eu, service: x}, retry: {base: 1ms, cap: 5ms, attempts: 2}}
  cmd: {remediator: command, commands: {set: {argv: [%[2]s/set.sh, undo], read: [%[2]s/set.sh, read], env: [CNRY_CMD]}}}
`

const canaryScript = `#!/bin/sh
echo "$CNRY_CMD %[1]s" >&2
in=$(cat)
echo "$in" >>%[2]s/command-got
if [ "$1" = read ]; then printf '{"now":%%s}' "$(cat %[2]s/command-state)"; exit; fi
printf '%%s' '{"token":"%[3]s"}' >%[2]s/command-state
printf '{"result":"undone","detail":"%%s %%s"}' "$CNRY_CMD" '%[3]s'
`

func newCanaryRun(t *testing.T) *canaryRun {
	t.Helper()
	r := &canaryRun{T: t, c: canaries(), all: archive{}}
	r.party = &rude{canary: r.c, state: map[string]string{}}
	third := httptest.NewServer(r.party)
	t.Cleanup(third.Close)
	r.server = newServer(t, buildServer(t), third.URL)
	raw, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	listen := strings.Fields(string(raw))[1]
	r.url = "http://" + listen
	r.ledger = newCanaryLedger(t, r.dir)
	r.write("ledgerd.yaml", fmt.Sprintf(canaryConfig, listen, r.dir, third.URL, r.ledger.database))
	r.write("basic", "user:"+r.c["basic password"])
	r.write("set.sh", fmt.Sprintf(canaryScript, r.c["command's stderr"], r.dir, r.c["command's detail"]))
	r.write("command-state", `{"token":"`+r.c["text after"]+`"}`)
	if err := os.Chmod(filepath.Join(r.dir, "set.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"CNRY_BEARER": r.c["bearer token"], "CNRY_HEAD": r.c["header key"], "CNRY_MAC": r.c["hmac key"], "CNRY_CMD": r.c["command's variable"],
		"CNRY_AWS": "AKIDEXAMPLE:" + r.c["sigv4 secret"] + ":" + r.c["sigv4 session token"],
	} {
		t.Setenv(name, value)
	}
	r.command = buildTool(t)
	r.token = r.run("token", "create", "--role", "admin")
	r.write("token", r.token)
	r.start()
	return r
}

func (r *canaryRun) write(name, content string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
		r.Fatal(err)
	}
}

// call makes one request and keeps its answer, headers included.
func (r *canaryRun) call(method, path, body string, header ...string) (status int, answer string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var raw []byte
	if strings.HasSuffix(path, "/events") { // it has no end: take what is there
		buf := make([]byte, 256<<10)
		n, _ := io.ReadAtLeast(resp.Body, buf, 2000)
		raw = buf[:n]
	} else if raw, err = io.ReadAll(resp.Body); err != nil {
		r.Fatal(err)
	}
	r.n++
	r.all.add(fmt.Sprintf("answer %03d %s %s", r.n, method, path), fmt.Appendf(nil, "%d %v\n%s", resp.StatusCode, resp.Header, raw))
	return resp.StatusCode, string(raw)
}

// cli runs the rollback command and keeps what it says. A token in a file of ours is all that it knows.
func (r *canaryRun) cli(env []string, args ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), r.command, args...)
	cmd.Dir = r.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "ROLLBACK_URL=" + r.url, "ROLLBACK_TOKEN_FILE=" + filepath.Join(r.dir, "token"),
		"ROLLBACK_WINDOW=" + r.window, "XDG_STATE_HOME=" + filepath.Join(r.dir, "host"),
	}, env...)
	out, _ := cmd.CombinedOutput() // its status is not what is tested here
	r.n++
	r.all.add(fmt.Sprintf("command %03d %s", r.n, args[0]), out)
	return string(out)
}

// ledgerd runs a subcommand of the server and keeps what it says.
func (r *canaryRun) ledgerd(config string, args ...string) {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), r.binary, append(args, "--config", config)...)
	cmd.Dir = r.dir
	out, _ := cmd.CombinedOutput() // some are refused
	r.n++
	r.all.add(fmt.Sprintf("ledgerd %03d %s", r.n, args[0]), out)
}

// look asks for everything that can be asked for.
func (r *canaryRun) look() {
	w := "/v1/windows/" + r.window
	for _, path := range []string{
		w, w + "/entries", w + "/entries?order=desc", w + "/plan", w + "/journal", w + "/events", "/v1/systems", "/v1/windows", "/metrics", "/openapi.json", "/docs", "/version", "/readyz", "/livez",
	} {
		if status, _ := r.call("GET", path, ""); status != http.StatusOK {
			r.Errorf("GET %s answered %d", path, status)
		}
	}
	r.call("POST", w+"/verify", "")
	for _, args := range [][]string{
		{"plan"},
		{"plan", "-o", "json"},
		{"plan", "-o", "shell"},
		{"plan", "--out", "plan.json"},
		{"status"},
		{"status", "-o", "json"},
		{"verify", "--window", r.window},
		{"window", "show", r.window, "-o", "json"},
		{"journal", "--window", r.window, "--out", "export-" + strconv.Itoa(r.n)},
	} {
		r.cli(nil, args...)
	}
}

// collect takes in every file that was written, but for the key, the tokens and what the test itself wrote.
func (r *canaryRun) collect() {
	mine := []string{"basic", "set.sh", "command-state", "command-got", "token", "out.json", "userinfo.yaml", "inline.yaml", "key.yaml"}
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains(mine, d.Name()) || strings.HasSuffix(path, ".secrets-key") || strings.HasSuffix(path, ".admin-token") {
			return err
		}
		raw, err := os.ReadFile(path)
		r.n++
		r.all.add(fmt.Sprintf("file %03d %s", r.n, d.Name()), raw)
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	r.ledger.collect(r.T, r.all)
}

// Nearly fifty kinds of secrets go through every flow, failures included, and stand in nothing that was said or
// written but in what the third party itself was sent.
func TestCanaries(t *testing.T) {
	r := newCanaryRun(t)
	said := strings.Fields(r.cli(nil, "window", "open", "canaries", "-o", "name"))
	r.window = said[len(said)-1]
	r.write("out.json", token(r.c["taken from output"]))
	drifting, _ := r.record()
	r.refuse()
	r.host()
	var e wire.Entry
	_, got := r.call("GET", "/v1/entries/"+drifting, "")
	if err := json.Unmarshal([]byte(got), &e); err != nil {
		t.Fatal(err)
	}
	var resource struct{ Path string }
	if err := json.Unmarshal(e.Resource, &resource); err != nil {
		t.Fatal(err)
	}
	r.party.set(resource.Path, token(r.c["shown as drift"]))
	r.look()
	r.collect() // while it runs: with its WAL
	r.cli(nil, "--window", r.window, "--reason", "canaries")
	r.look()
	_, got = r.call("GET", "/v1/entries/"+drifting, "")
	if err := json.Unmarshal([]byte(got), &e); err != nil || e.State != "stuck" || e.Reason != "drifted" {
		t.Fatalf("the drifting entry is %s %s, %v", e.State, e.Reason, err)
	}
	r.call("POST", "/v1/entries/"+drifting+"/resolve", `{"decision":"undo","reason":"ours","seen":"`+e.NowDigest+`"}`)
	r.post(entry{system: "bearer", before: token(r.c["late fact"]), after: token("z")})
	r.ledgerd(r.config, "backup", filepath.Join(r.dir, "backup.db")) // PostgreSQL's is refused
	r.ledgerd(r.config, "keys", "--window", r.window)
	r.ledgerd(r.config, "token", "list")
	r.look()
	r.kill()
	r.write("rebuilt.yaml", fmt.Sprintf("database: %s\nsecrets: {key: \"file:%s\"}\n", r.ledger.rebuilt, r.ledger.key))
	r.ledgerd(filepath.Join(r.dir, "rebuilt.yaml"), "rebuild", "--from", filepath.Join(r.dir, "mirror"))
	r.collect()
	r.judge(resource.Path)
}

// holdsWrappedKeys makes sure that the mirror, which was searched, has data keys.
func (r *canaryRun) holdsWrappedKeys() {
	c, err := readCopy(r.Context(), filepath.Join(r.dir, "mirror"), nil, nil)
	if err != nil || len(c.sealed) == 0 || len(c.seen.Keys.Root) != 1 {
		r.Fatalf("%v, %d root secrets", err, len(c.seen.Keys.Root))
	}
	for id := range c.sealed {
		if len(c.seen.Keys.Data[id.String()]) == 0 {
			r.Errorf("the data key of entry %s is not in the mirror", id)
		}
	}
}

// judge searches everything, and makes sure that the search would have found something.
func (r *canaryRun) judge(drifted string) {
	key, err := os.ReadFile(r.ledger.key)
	if err != nil {
		r.Fatal(err)
	}
	r.c["key of secret fields"] = strings.TrimSpace(string(key))
	r.c["admin token"] = r.token
	artefacts, size := 0, 0
	for _, raw := range r.all {
		artefacts, size = artefacts+1, size+len(raw)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.c)) {
		for _, hit := range r.all.hits(r.c[kind]) {
			r.Errorf("%s stands in %s", kind, hit)
		}
	}
	r.Logf("%d kinds of secrets, %d artefacts, %d bytes", len(r.c), artefacts, size)
	for name, raw := range r.all {
		if slices.ContainsFunc(r.bodies, func(sum [32]byte) bool { return bytes.Contains(raw, sum[:]) }) {
			r.Errorf("the plain hash of a request with secrets stands in %s", name)
		}
	}
	found := strings.Join(r.all.hits(openNote), "\n")
	for _, where := range append(r.ledger.places, journal.SegmentSuffix, "/entries", "/journal", "/events", "export-") {
		if !strings.Contains(found, where) {
			r.Errorf("the note, which is no secret, was not found in %s: the search does not bite there", where)
		}
	}
	r.holdsWrappedKeys()
	sent := r.party.received()
	for _, kind := range []string{"bearer token", "header key", "sigv4 session token", "text before", "undo body of its own", "undo header", "read query", "guard value", "captured before", "key of an object"} {
		if !strings.Contains(sent, r.c[kind]) {
			r.Errorf("%s never reached the third party: it was not used at all", kind)
		}
	}
	if got := r.party.get(drifted); got != token("was-there-before") {
		r.Errorf("the drifted resource shows %s", got)
	}
}
