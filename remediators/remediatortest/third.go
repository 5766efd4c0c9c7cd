// Package remediatortest is the conformance suite that every remediator passes, with the third parties
// it runs against: one that misbehaves on purpose, and real ones that are started here.
package remediatortest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Mode is one way to misbehave.
type Mode string

// The modes. Those that answer do so before anything else, without an effect, unless they say otherwise.
const (
	Well           Mode = ""                // do as asked
	LoseAfter      Mode = "lose_after"      // do it, then drop the connection
	DropBefore     Mode = "drop_before"     // drop the connection, no effect
	Fail500        Mode = "500"             // answer 500
	Fail502        Mode = "502"             // do it, and answer 502 as a gateway that lost the answer
	Busy503        Mode = "503"             // answer 503, Retry-After: 7
	LimitDelta     Mode = "429_delta"       // answer 429, Retry-After: 7
	LimitDate      Mode = "429_date"        // answer 429, Retry-After: an HTTP-date in 7 s
	LimitReset     Mode = "429_reset"       // answer 429, X-RateLimit-Reset: epoch seconds in 7 s
	Silent         Mode = "silent"          // say nothing until the client goes away
	Endless        Mode = "endless"         // answer 200 and never stop
	Bomb           Mode = "bomb"            // answer 200 with gzip that grows to 64 MiB
	Broken         Mode = "broken"          // answer 200 with half a document
	CutOff         Mode = "cut_off"         // answer 200, promise more than comes
	Redirect       Mode = "redirect"        // answer 307 to Third.Elsewhere
	Unauthorized   Mode = "401"             // answer 401
	Forbidden      Mode = "403"             // answer 403
	Hidden         Mode = "hidden"          // answer 404: the credential may not know of it
	False          Mode = "false"           // answer 200 false, no effect
	Accept         Mode = "accept"          // answer 202 with a Location, do it after Third.Polls polls
	Mask           Mode = "mask"            // show ******** for the member secret
	Refuse         Mode = "422"             // answer 422, quoting the request
	NothingHappens Mode = "nothing_happens" // answer 200 as if it had been done
)

// An Effect is one change that really happened.
type Effect struct {
	Method, Path string
	Body         string // empty: deleted
}

// A Third is a third party with a JSON document at any path. GET, PUT, POST (as PUT), PATCH (merging the
// members) and DELETE do as one expects; ETag, If-Match, If-None-Match: * and ?cas= are honoured; GET /
// answers 200, so that absence can be proven. Documents come back byte for byte.
type Third struct {
	URL       string
	Elsewhere *Third  // where redirects lead; nil: none
	Dialect   Dialect // the API that it speaks; nil: plain documents at paths. Set it before the first call
	Polls     int     // how often an accepted call is asked about before it is done

	mu      sync.Mutex
	docs    map[string]string
	stale   map[string][]string // what the next reads of a path show, oldest first; "" is absence
	modes   map[string]Mode
	once    map[string]Mode
	later   map[string]func()
	polls   map[string]int
	effects []Effect
	calls   []*http.Request
	bodies  []string
	loss    *rand.Rand
	rate    float64
	server  *httptest.Server
	ended   chan struct{}
}

// NewThird starts a third party on loopback. It ends with the test.
func NewThird(t testing.TB) *Third {
	t.Helper()
	th := &Third{
		docs: map[string]string{}, stale: map[string][]string{}, modes: map[string]Mode{}, once: map[string]Mode{},
		later: map[string]func(){}, polls: map[string]int{}, ended: make(chan struct{}),
	}
	th.server = httptest.NewServer(http.HandlerFunc(th.serve))
	th.server.Config.ErrorLog = nil
	th.URL = th.server.URL
	t.Cleanup(func() {
		close(th.ended)
		th.server.CloseClientConnections()
		th.server.Close()
	})
	return th
}

// Set puts a document at a path without counting an effect; "" removes it.
func (th *Third) Set(path, doc string) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.put(path, doc)
}

func (th *Third) put(path, doc string) {
	if doc == "" {
		delete(th.docs, path)
		return
	}
	th.docs[path] = doc
}

// Get returns the document at a path; "" if there is none.
func (th *Third) Get(path string) string {
	th.mu.Lock()
	defer th.mu.Unlock()
	return th.docs[path]
}

// Paths returns where documents are, sorted.
func (th *Third) Paths() []string {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Sorted(maps.Keys(th.docs))
}

// Misbehave sets the mode of a path, or of every path with "*".
func (th *Third) Misbehave(path string, m Mode) {
	if m == Bomb {
		bomb() // made now, not while a client waits
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	th.modes[path] = m
}

// Once sets the mode of the next changing call to a path.
func (th *Third) Once(path string, m Mode) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.once[path] = m
}

// Lose drops the answer of changing calls after their effect, at random with this seed.
func (th *Third) Lose(rate float64, seed uint64) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.rate, th.loss = rate, rand.New(rand.NewPCG(seed, seed))
}

// Stale makes the next n reads of a path show what is there now, whatever happens meanwhile.
func (th *Third) Stale(path string, n int) {
	th.mu.Lock()
	defer th.mu.Unlock()
	for range n {
		th.stale[path] = append(th.stale[path], th.docs[path])
	}
}

// Effects returns the changes that really happened, in order.
func (th *Third) Effects() []Effect {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Clone(th.effects)
}

// EffectsOn counts the changes at one path.
func (th *Third) EffectsOn(path string) int {
	n := 0
	for _, e := range th.Effects() {
		if e.Path == path {
			n++
		}
	}
	return n
}

// Calls returns the requests that arrived, in order, with their bodies.
func (th *Third) Calls() (reqs []*http.Request, bodies []string) {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Clone(th.calls), slices.Clone(th.bodies)
}

func (th *Third) serve(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	th.mu.Lock()
	th.calls, th.bodies = append(th.calls, r.Clone(r.Context())), append(th.bodies, string(raw))
	asked := r.URL.Path
	if th.Dialect != nil {
		r.URL.Path = th.Dialect.Path(r.Method, asked, raw)
	}
	mode := th.modeOf(r)
	th.mu.Unlock()
	if th.misbehave(w, r, mode, raw) {
		return
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if r.Method == http.MethodGet {
		if th.Dialect != nil {
			status, body := th.Dialect.Read(asked, th.shown(r.URL.Path))
			reply(w, status, body)
			return
		}
		th.read(w, r, mode)
		return
	}
	var status int
	var body string
	if th.Dialect != nil {
		status, body = th.speak(r, asked, raw, mode)
	} else {
		status, body = th.change(r, raw, mode)
	}
	lost := th.loss != nil && th.loss.Float64() < th.rate
	switch {
	case (mode == LoseAfter || lost) && status < 300:
		drop(w)
	case mode == Fail502:
		reply(w, http.StatusBadGateway, `{"error":"gateway"}`)
	default:
		reply(w, status, body)
	}
}

func (th *Third) modeOf(r *http.Request) Mode {
	if m, ok := th.once[r.URL.Path]; ok && r.Method != http.MethodGet {
		delete(th.once, r.URL.Path)
		return m
	}
	if m, ok := th.modes[r.URL.Path]; ok {
		return m
	}
	return th.modes["*"]
}

// misbehave answers in place of what was asked; false: it is to be done after all.
func (th *Third) misbehave(w http.ResponseWriter, r *http.Request, m Mode, raw []byte) bool {
	in7 := time.Now().Add(7 * time.Second)
	h := w.Header()
	switch m {
	case Well, LoseAfter, Fail502, Mask, Accept, NothingHappens:
		return false
	case DropBefore:
		drop(w)
	case Fail500:
		reply(w, 500, `{"error":"no"}`)
	case Busy503:
		h.Set("Retry-After", "7")
		reply(w, 503, `{"error":"busy"}`)
	case LimitDelta:
		h.Set("Retry-After", "7")
		reply(w, 429, `{}`)
	case LimitDate:
		h.Set("Retry-After", in7.UTC().Format(http.TimeFormat))
		reply(w, 429, `{}`)
	case LimitReset:
		h.Set("X-RateLimit-Reset", strconv.FormatInt(in7.Unix(), 10))
		reply(w, 429, `{}`)
	case Silent:
		select {
		case <-r.Context().Done():
		case <-th.ended:
		}
		drop(w)
	case Endless:
		th.endless(w, r)
	case Bomb:
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb())
	case Broken:
		reply(w, 200, `{"v": "old`)
	case CutOff:
		h.Set("Content-Length", "1000")
		w.WriteHeader(200)
		_, _ = io.WriteString(w, `{"v":`)
		drop(w)
	case Redirect:
		h.Set("Location", th.Elsewhere.URL+r.URL.Path)
		reply(w, 307, ``)
	case Unauthorized:
		reply(w, 401, `{}`)
	case Forbidden:
		reply(w, 403, `{}`)
	case Hidden:
		reply(w, 404, `{"error":"none"}`)
	case False:
		if r.Method == http.MethodGet {
			return false
		}
		reply(w, 200, `false`)
	case Refuse:
		reply(w, 422, fmt.Sprintf(`{"error":%q,"auth":%q}`, raw, r.Header.Get("Authorization")))
	default:
		reply(w, 500, `{"error":"unknown mode"}`)
	}
	return true
}

func (th *Third) endless(w http.ResponseWriter, r *http.Request) {
	junk := bytes.Repeat([]byte(" "), 64<<10)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-th.ended:
			return
		default:
		}
		if _, err := w.Write(junk); err != nil {
			return
		}
	}
}

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

func drop(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok && w.Header().Get("Content-Length") != "" {
		f.Flush()
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
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

func masked(doc string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(doc), &m) != nil || m["secret"] == nil {
		return doc
	}
	m["secret"] = json.RawMessage(`"********"`)
	out, _ := json.Marshal(m)
	return string(out)
}

// bomb is 64 MiB of nothing, compressed once: under the race detector that takes seconds.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is one that there is
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	return b.Bytes()
})
