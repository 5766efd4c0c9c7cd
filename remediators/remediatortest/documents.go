package remediatortest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

func (th *Third) read(w http.ResponseWriter, r *http.Request, m Mode) {
	path := r.URL.Path
	if done, ok := th.later[path]; ok {
		if th.polls[path]--; th.polls[path] > 0 {
			reply(w, 200, `{"status":"working"}`)
			return
		}
		done()
		th.later[path] = func() {}
		reply(w, 200, `{"status":"done"}`)
		return
	}
	doc := th.docs[path]
	if old := th.stale[path]; len(old) > 0 {
		doc, th.stale[path] = old[0], old[1:]
	}
	switch {
	case doc == "" && path == "/":
		reply(w, 200, `{"ok":true}`)
	case doc == "":
		reply(w, 404, `{"error":"none"}`)
	default:
		w.Header().Set("ETag", etag(doc))
		if m == Mask {
			doc = masked(doc)
		}
		reply(w, 200, doc)
	}
}

// change does what was asked and returns the answer.
func (th *Third) change(r *http.Request, raw []byte, m Mode) (status int, body string) {
	path := r.URL.Path
	cur, there := th.docs[path]
	if im := r.Header.Get("If-Match"); im != "" && (!there || im != etag(cur)) {
		return 412, `{"error":"changed"}`
	}
	if r.Header.Get("If-None-Match") == "*" && there {
		return 412, `{"error":"exists"}`
	}
	if cas := r.URL.Query().Get("cas"); cas != "" && cas != etag(cur) {
		return 200, `false`
	}
	next := string(raw)
	switch {
	case r.Method == http.MethodDelete && !there:
		return 404, `{"error":"none"}`
	case r.Method == http.MethodDelete:
		next = ""
	case r.Method == http.MethodPatch && !there:
		return 404, `{"error":"none"}`
	case r.Method == http.MethodPatch:
		next = merge(cur, next)
	case !json.Valid(raw):
		return 400, `{"error":"not JSON"}`
	}
	if m == NothingHappens {
		return 200, `{}`
	}
	do := func() {
		if th.docs[path] == next {
			return // asked for what is there already: no effect
		}
		th.put(path, next)
		th.effects = append(th.effects, Effect{r.Method, path, next})
	}
	if m == Accept {
		job := "/jobs/" + strconv.Itoa(len(th.later)+1)
		th.later[job], th.polls[job] = do, th.Polls
		return 202, job
	}
	do()
	if next == "" {
		return 204, ""
	}
	return 200, next
}

func reply(w http.ResponseWriter, status int, body string) {
	if status == 202 && strings.HasPrefix(body, "/jobs/") {
		w.Header().Set("Location", body)
		body = `{}`
	}
	if status != 204 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func etag(doc string) string {
	sum := sha256.Sum256([]byte(doc))
	return `"` + hex.EncodeToString(sum[:6]) + `"`
}

func merge(cur, next string) string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal([]byte(cur), &a) != nil || json.Unmarshal([]byte(next), &b) != nil {
		return next
	}
	maps.Copy(a, b)
	out, _ := json.Marshal(a)
	return string(out)
}
