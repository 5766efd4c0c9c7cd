package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sideledger/api/wire"
)

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
	r.bodies = append(r.bodies, sha256.Sum256([]byte(text)))
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
