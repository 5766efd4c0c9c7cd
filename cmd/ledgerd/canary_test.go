package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
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
	n       int
}

const canaryConfig = `listen: %[1]s
database: sqlite:%[2]s/ledger.db
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
	r.write("ledgerd.yaml", fmt.Sprintf(canaryConfig, listen, r.dir, third.URL))
	r.write("basic", "user:"+r.c["basic password"])
	r.write("set.sh", fmt.Sprintf(canaryScript, r.c["command's stderr"], r.dir, r.c["command's detail"]))
	r.write("command-state", `{"token":"`+r.c["text after"]+`"}`)
	if err := os.Chmod(filepath.Join(r.dir, "set.sh"), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"CNRY_BEARER": r.c["bearer token"], "CNRY_HEAD": r.c["header key"], "CNRY_MAC": r.c["hmac key"], "CNRY_CMD": r.c["command's variable"],
		"CNRY_AWS": "AKIDEXAMPLE:" + r.c["sigv4 secret"] + ":" + r.c["sigv4 session token"],
	} {
		t.Setenv(name, value)
	}
	r.command = filepath.Join(t.TempDir(), "rollback")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", r.command, "../rollback").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
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
	resp, err := http.DefaultClient.Do(req)
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

// entry is one effect on a document of the third party, which is made as well.
type entry struct {
	system        string
	before, after string
	more          map[string]any // further members of what is posted
	undo, read    map[string]any // nil: put the document back; get it
}

func (r *canaryRun) post(e entry) (status int, id, body string) {
	r.Helper()
	path := "/doc/" + strconv.Itoa(r.n)
	r.party.set(path, e.after)
	d := map[string]any{
		"id": newV7(), "system": e.system, "kind": "http.request", "action": "update", "state": "applied", "resource": map[string]any{"path": path},
		"read": map[string]any{"method": "GET", "path": path}, "undo": map[string]any{"method": "PUT", "path": path, "body": "{{before}}"},
		"secret": []string{"/token"}, "note": "a note in the open " + openNote,
	}
	for name, doc := range map[string]string{"before": e.before, "after": e.after} {
		if doc != "" {
			d[name] = json.RawMessage(doc)
		}
	}
	for name, part := range map[string]map[string]any{"undo": e.undo, "read": e.read} {
		if part == nil {
			continue
		}
		if part["path"] == nil {
			part["path"] = path
		}
		d[name] = part
	}
	maps.Copy(d, e.more)
	raw, err := json.Marshal(d)
	if err != nil {
		r.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), "PATH", path)
	status, answer := r.call("POST", "/v1/windows/"+r.window+"/entries", text, "Idempotency-Key", path)
	var got wire.Entry
	_ = json.Unmarshal([]byte(answer), &got)
	return status, got.ID, text
}

// must is post for an entry that is taken.
func (r *canaryRun) must(e entry) string {
	r.Helper()
	status, id, body := r.post(e)
	if status != http.StatusCreated {
		r.Fatalf("%s answered %d: %v", body, status, r.all[fmt.Sprintf("answer %03d POST /v1/windows/%s/entries", r.n, r.window)])
	}
	if again, _ := r.call("POST", "/v1/windows/"+r.window+"/entries", body, "Idempotency-Key", "again-"+id); again != http.StatusOK {
		r.Fatalf("the same again answered %d", again)
	}
	return id
}

// openNote is no secret: it has to be found wherever entries are.
const openNote = "in-the-open-5521"

func newV7() string { return uuid.Must(uuid.NewV7()).String() }

func token(v string) string {
	raw, _ := json.Marshal(map[string]string{"token": v})
	return string(raw)
}

// record plants the secrets of entries. It returns the ids of an entry that will drift and of an intent that is
// reported on later.
func (r *canaryRun) record() (drifting, reported string) {
	c := r.c
	for _, system := range []string{"bearer", "basic", "head", "mac", "aws"} {
		r.must(entry{system: system, before: token(c["text before"]), after: token(c["text after"])})
	}
	r.must(entry{system: "bearer", before: `{"token":{"key":"` + c["key of an object"] + `"}}`, after: `{"token":["` + c["element of an array"] + `"]}`})
	r.must(entry{system: "bearer", before: token(c["escaped text"]), after: token(c["unicode text"])})
	r.must(entry{system: "bearer", before: `{"token":` + c["number"] + `}`, after: `{"token":1}`})
	copies := func(kinds ...string) string {
		raw, _ := json.Marshal(map[string]string{
			"token": c["unlisted copy"] + c["copy in base64"], "plain": c["unlisted copy"] + c["copy in base64"],
			"basic": base64.StdEncoding.EncodeToString([]byte(c["unlisted copy"] + c["copy in base64"])), "n": strings.Join(kinds, ""),
		})
		return string(raw)
	}
	r.must(entry{system: "bearer", before: copies("1"), after: copies("2")})
	r.must(entry{system: "bearer", before: `{"token":"` + c["copy in hex"] + `","h":"` + hex.EncodeToString([]byte(c["copy in hex"])) + `"}`, after: token("x")})
	r.must(entry{
		system: "bearer", before: token(c["copy in a query"]), after: token("x"),
		undo: map[string]any{"method": "PUT", "path": "PATH?k=" + url.QueryEscape(c["copy in a query"]), "body": map[string]string{"token": c["copy in a query"]}},
	})
	r.must(entry{
		system: "bearer", before: token(c["undo body literal"]), after: token("x"),
		more: map[string]any{"secret": []string{"/token", "/undo/body/own", "/undo/headers/X-Extra", "/read/path", "/guard/value"}, "guard": map[string]string{"header": "If-Match", "value": c["guard value"]}},
		undo: map[string]any{"method": "PUT", "headers": map[string]string{"X-Extra": c["undo header"]}, "body": map[string]string{"token": c["undo body literal"], "own": c["undo body of its own"]}},
		read: map[string]any{"method": "GET", "path": "PATH?key=" + c["read query"]},
	})
	_, body := r.call("POST", "/v1/windows/"+r.window+"/entries/batch", `{"entries":[{"system":"bearer","kind":"http.request","action":"update","resource":{"path":"/doc/batch"},
		"read":{"method":"GET","path":"/doc/batch"},"undo":{"method":"PUT","path":"/doc/batch","body":"{{before}}"},"state":"applied","secret":["/token"],"before":`+token(c["batch"])+`,"after":`+token("y")+`}]}`)
	if !strings.Contains(body, "$secret") {
		r.Fatalf("the batch was not taken: %s", body)
	}
	r.party.set("/doc/batch", token("y"))
	drifting = r.must(entry{system: "bearer", before: token("was-there-before"), after: token("is-there-after")})
	for _, status := range []string{"500", "302", "401", "400", "broken"} {
		r.must(entry{
			system: map[bool]string{true: "basic", false: "bearer"}[status == "401"], before: token(c["text before"]), after: token(c["text after"]),
			undo: map[string]any{"method": "PUT", "path": "/rude/" + status, "body": "{{before}}", "success": map[string]any{"status": []int{200}, "body": map[string]any{"equals": true}}},
		})
	}
	return drifting, r.intents()
}

// intents records what is captured, what a command makes, and what is reported later.
func (r *canaryRun) intents() (reported string) {
	c := r.c
	r.party.set("/doc/captured", token(c["captured before"]))
	_, got := r.call("POST", "/v1/windows/"+r.window+"/entries", `{"system":"head","kind":"http.request","action":"update","resource":{"path":"/doc/captured"},"capture":true,
		"read":{"method":"GET","path":"/doc/captured"},"undo":{"method":"PUT","path":"/doc/captured","body":"{{before}}"},"secret":["/token"]}`)
	var e wire.Entry
	if err := json.Unmarshal([]byte(got), &e); err != nil || !bytes.Contains(e.Before, []byte("$secret")) {
		r.Fatalf("not captured: %s", got)
	}
	r.party.set("/doc/captured", token(c["captured after"]))
	r.call("POST", "/v1/entries/"+e.ID+"/applied", `{}`)
	_, reported, _ = r.post(entry{system: "bearer", before: token("w-before"), more: map[string]any{"state": "intended"}})
	r.call("POST", "/v1/entries/"+reported+"/applied", `{"after":`+token(c["reported after"])+`}`, "Idempotency-Key", "report")
	r.call("POST", "/v1/entries/"+reported+"/applied", `{"after":`+token(c["reported after"])+`}`, "Idempotency-Key", "report")
	r.call("POST", "/v1/windows/"+r.window+"/entries", `{"system":"cmd","kind":"x","action":"update","state":"applied","resource":{"x":1},"secret":["/token","/undo/args/pass"],
		"undo":{"command":"set","args":{"pass":"`+c["command's argument"]+`"}},"before":`+token(c["command's detail"])+`,"after":`+token(c["text after"])+`}`)
	return reported
}

// refuse makes what is refused, and must not be repeated.
func (r *canaryRun) refuse() {
	c := r.c
	entries := "/v1/windows/" + r.window + "/entries"
	for _, body := range []string{
		`{"system":"bearer","kind":"http.request","action":"update","resource":{"x":"` + c["refused entry"] + `"},"secret":["/token"],"before":` + token(c["refused entry"]) + `,"after":{}}`,
		`{"system":"` + c["refused entry"] + `","kind":"x","action":"update","before":1,"after":2,"resource":{}}`,
		`{"` + c["refused twice a name"] + `":1,"` + c["refused twice a name"] + `":2}`,
		c["refused entry"], `{"id":"` + c["refused entry"] + `","system":"x","kind":"x","action":"x"}`,
		`{"system":"bearer","kind":"http.request","action":"update","resource":{},"secret":["` + c["refused entry"] + `"],"before":{},"after":{}}`,
		`{"system":"bearer","kind":"http.request","action":"update","resource":{},"before":{"a":{"$secret":"hmac:` + c["unknown fingerprint"] + `"}},"after":{}}`,
	} {
		if status, _ := r.call("POST", entries, body, "Idempotency-Key", newV7()); status < 400 {
			r.Errorf("%s was taken", body)
		}
	}
	r.call("GET", "/v1/entries/"+c["refused entry"], "")
	r.call("GET", "/nowhere/"+c["refused entry"]+"?x="+c["refused entry"], "")
	r.call("GET", "/v1/windows?limit="+c["refused entry"], "")
	for name, system := range map[string]string{
		"userinfo": `{remediator: http, url: "http://u:` + c["userinfo in a url"] + `@127.0.0.1:1"}`, "inline": `{remediator: http, url: "http://127.0.0.1:1", credential: "` + c["credential in place of its reference"] + `"}`,
	} {
		r.write(name+".yaml", "systems:\n  x: "+system+"\n")
		r.ledgerd(filepath.Join(r.dir, name+".yaml"), "check-config")
	}
	r.write("key.yaml", "secrets: {key: "+c["key in place of its reference"]+"}\n")
	r.ledgerd(filepath.Join(r.dir, "key.yaml"), "check-config")
}

// host is what an upgrade host does: in files, while the ledger is away, and with a command's output.
func (r *canaryRun) host() {
	c := r.c
	flags := []string{"record", "--system", "bearer", "--kind", "http.request", "--action", "update", "--resource", `{"path":"/doc/host"}`, "--secret", "/token"}
	said := r.cli([]string{"ROLLBACK_URL=file:" + filepath.Join(r.dir, "host", "files")}, append(flags, "--before", token(c["refused in a file"]), "--after", token("x"))...)
	if !strings.Contains(said, "never written into a file") {
		r.Errorf("a secret was recorded into a file: %s", said)
	}
	away := []string{"ROLLBACK_URL=http://127.0.0.1:1"}
	r.cli(away, append(flags, "--spool", "--before", token(c["spooled"]), "--after", token("x"), "--", "true")...)
	read := []string{"--read", `{"method":"GET","path":"/doc/host"}`, "--undo", `{"method":"PUT","path":"/doc/host","body":"{{before}}"}`}
	r.party.set("/doc/host", token(c["taken from output"]))
	said = r.cli(nil, slices.Concat(flags, read, []string{"--before", token("h-before"), "--take", "after=.", "-v", "--", "cat", "out.json"})...)
	delete(r.all, fmt.Sprintf("command %03d record", r.n)) // what the wrapped command itself prints is passed on
	if !strings.Contains(said, "is applied") {
		r.Errorf("the wrapped command was not recorded: %s", said)
	}
	r.cli(away, "applied", newV7(), "--spool", "--after", token(c["spooled"]))
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
		{"plan"}, {"plan", "-o", "json"}, {"plan", "-o", "shell"}, {"plan", "--out", "plan.json"}, {"status"}, {"status", "-o", "json"}, {"verify", "--window", r.window},
		{"window", "show", r.window, "-o", "json"}, {"journal", "--window", r.window, "--out", "export-" + strconv.Itoa(r.n)},
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
}

// Nearly fifty kinds of secrets go through every flow, failures included, and stand in nothing that was said or
// written but in what the third party itself was sent.
func TestCanaries(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds both commands")
	}
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
	r.ledgerd(r.config, "backup", filepath.Join(r.dir, "backup.db"))
	r.ledgerd(r.config, "keys", "--window", r.window)
	r.ledgerd(r.config, "token", "list")
	r.look()
	r.kill()
	r.collect()
	r.judge(resource.Path)
}

// judge searches everything, and makes sure that the search would have found something.
func (r *canaryRun) judge(drifted string) {
	key, err := os.ReadFile(filepath.Join(r.dir, "ledger.db.secrets-key"))
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
	found := strings.Join(r.all.hits(openNote), "\n")
	for _, where := range []string{"ledger.db", "ledger.db-wal", "backup.db", "/entries", "/journal", "/events", "export-"} {
		if !strings.Contains(found, where) {
			r.Errorf("the note, which is no secret, was not found in %s: the search does not bite there", where)
		}
	}
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
