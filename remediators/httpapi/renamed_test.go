package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
)

// hooks is a third party that chooses the ids of what is created there, as those of webhooks do.
type hooks struct {
	*httptest.Server
	mu   sync.Mutex
	next int
	docs map[string]string
	lose bool // drop the answer of the next POST, after its effect
}

func startHooks(t *testing.T) *hooks {
	h := &hooks{docs: map[string]string{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hooks) put(doc string) (id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	id = fmt.Sprint(h.next)
	h.docs[id] = doc
	return id
}

func (h *hooks) drop(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.docs, id)
}

func (h *hooks) left() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.docs)
}

// ServeHTTP implements [http.Handler].
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	id := strings.TrimPrefix(r.URL.Path, "/hooks/")
	h.mu.Lock()
	doc, there := h.docs[id]
	h.mu.Unlock()
	switch {
	case r.Method == http.MethodPost:
		id = h.put(string(raw))
		if h.lose {
			h.lose = false
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"hook":{"id":%s}}`, id)
	case r.URL.Path == "/hooks":
		fmt.Fprint(w, `[]`)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		h.drop(id)
	default:
		fmt.Fprint(w, doc)
	}
}

// hook is an entry about a hook, with the recipe that a careful script gives.
func hook(action ledger.Action, id, before, after string) ledger.Draft {
	d := ledger.Draft{
		System: "sys", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: json.RawMessage(`{"id":` + id + `}`),
		Before: image(before), After: image(after),
		Read: json.RawMessage(`{"path":"/hooks/{{resource.id}}","gone_proof":{"path":"/hooks"}}`),
		Undo: json.RawMessage(`{"method":"DELETE","path":"/hooks/{{resource.id}}"}`),
	}
	if action == ledger.ActionDelete {
		d.Undo = json.RawMessage(`{"method":"POST","path":"/hooks","body":"{{before}}","renamed":{"id":"/hook/id"},"tell":["it has a new secret"]}`)
	}
	return d
}

func TestANewIDIsCompensatedAndFound(t *testing.T) {
	h := startHooks(t)
	w := setupOf(remediators.SystemConfig{URL: h.URL}).Open(t)
	id := h.put(`{"url":"x"}`)
	created := w.Record(hook(ledger.ActionCreate, id, "", `{"url":"x"}`))
	h.drop(id)
	deleted := w.Record(hook(ledger.ActionDelete, id, `{"url":"x"}`, ""))
	if deleted.Reversible != ledger.ReversibleCompensating {
		t.Errorf("graded %s", deleted.Reversible)
	}
	w.WantPlan("undo undo")
	run := w.Rollback()
	e := w.Want(deleted, "undone compensated")
	if e.Detail != "it has a new secret; its id is 2 now, it was 1: whoever uses the old one has to be told" {
		t.Errorf("detail %q", e.Detail)
	}
	w.Want(created, "undone undone")
	if !run.Complete || run.Counts.Compensated != 1 || h.left() != 0 {
		t.Errorf("counts %+v, %d left", run.Counts, h.left())
	}
	w.WantVerify("same same")
}

// TestANewIDWhoseAnswerWasLost: nobody knows the id, so nobody sends the POST again.
func TestANewIDWhoseAnswerWasLost(t *testing.T) {
	h := startHooks(t)
	w := setupOf(remediators.SystemConfig{URL: h.URL}).Open(t)
	deleted := w.Record(hook(ledger.ActionDelete, "7", `{"url":"x"}`, ""))
	h.lose = true
	w.Rollback()
	w.Want(deleted, "stuck in_doubt")
	if h.left() != 1 {
		t.Errorf("%d hooks, want the one whose answer was lost", h.left())
	}
}

func TestRenamedIsStrict(t *testing.T) {
	h := startHooks(t)
	rem := bind(t, remediators.SystemConfig{URL: h.URL})
	for _, bad := range []string{`"renamed":{"id":"x"}`, `"renamed":[]`, `"tell":"x"`, `"tell":[1]`, `"renames":{}`} {
		d := hook(ledger.ActionDelete, "1", `{"url":"x"}`, "")
		d.Undo = json.RawMessage(`{"method":"POST","path":"/hooks","body":"{{before}}",` + bad + `}`)
		if _, err := rem.Check(&d); ledger.CodeOf(err) != ledger.CodeInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A member that an undo may give another value is a name, whether the resource has it yet or not: it is no secret.
func TestARenamedMemberIsNoSecret(t *testing.T) {
	rem := bind(t, remediators.SystemConfig{URL: startHooks(t).URL})
	for secret, want := range map[string]string{"/id": "/secret/1", "/before/id": "/secret/1", "/url": "", "/id/x": ""} {
		d := hook(ledger.ActionDelete, "1", `{"url":"x","id":2}`, "")
		d.Resource, d.Secret = json.RawMessage(`{"name":"n"}`), []string{"/else", secret}
		d.Read = json.RawMessage(`{"path":"/hooks/{{resource.name}}","gone_proof":{"path":"/hooks"}}`)
		_, err := rem.Check(&d)
		var e *ledger.Error
		if want == "" && err != nil || want != "" && (!errors.As(err, &e) || e.Code != ledger.CodeInvalid || e.Field != want || !strings.Contains(e.Msg, "/id")) {
			t.Errorf("%s: %v", secret, err)
		}
	}
}
