package api

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// A fakeVigil seals heads as plain text, and enters safe mode when one of them says "lost".
type fakeVigil struct {
	mu    sync.Mutex
	safe  *ledger.SafeMode
	aside []wire.SpoolCall
	warn  string
}

func watched(v *fakeVigil) func(*Config) { return func(c *Config) { c.Vigil = v } }

func (v *fakeVigil) Seal(id uuid.UUID, h ledger.Head) string {
	return fmt.Sprintf("%s %d %x 1-seal", id, h.Number, h.Hash)
}

func (v *fakeVigil) Check(_ context.Context, kept string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if strings.HasPrefix(kept, "lost") {
		v.safe = &ledger.SafeMode{Missing: []ledger.Missing{{WindowID: uuid.Max, Have: 3, Want: 9, From: "client"}}}
	}
	return nil
}

func (v *fakeVigil) Safe() *ledger.SafeMode {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.safe
}

func (v *fakeVigil) Aside(_ context.Context, c wire.SpoolCall) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.aside = append(v.aside, c)
	return nil
}

func (v *fakeVigil) Signed(context.Context) (note, key string, err error) { return "note", "key", nil }

func (v *fakeVigil) Warning() string { return v.warn }

// Every answer that shows a head has it sealed, for the client to keep; a replay has the first answer's.
func TestHeadOfAnswers(t *testing.T) {
	b := newBench(t, watched(&fakeVigil{}))
	w := b.window("w")
	e := b.record(w.ID, b.draft("/a"))
	for _, r := range []req{
		{method: "GET", path: "/v1/entries/" + e.ID},
		{method: "GET", path: "/v1/windows/" + w.ID},
		{method: "POST", path: "/v1/windows/" + w.ID + "/entries", body: b.draft("/b"), header: map[string]string{"Idempotency-Key": "k"}},
		{method: "POST", path: "/v1/windows/" + w.ID + "/seal", body: wire.ReasonRequest{}},
	} {
		rec := b.request(r)
		out := newRecorder()
		b.api.ServeHTTP(out, rec)
		if got := out.Header().Get(wire.HeaderHead); !strings.HasPrefix(got, w.ID+" ") || !strings.HasSuffix(got, " 1-seal") || strings.Contains(got, " 0 ") {
			t.Errorf("%s %s answered %d with head %q", r.method, r.path, out.Code, got)
		}
	}
	var signed wire.SignedHead
	b.do(req{method: "GET", path: "/v1/head"}, 200, &signed)
	if signed.Note != "note" || signed.Key != "key" {
		t.Errorf("%+v", signed)
	}
}

// In safe mode everything can be read, nothing is changed, and facts are kept aside.
func TestSafeMode(t *testing.T) {
	v := &fakeVigil{}
	b := newBench(t, watched(v))
	w := b.window("w")
	intent := b.draft("/i")
	intent.State = "intended"
	e := b.record(w.ID, intent)
	run := "/v1/windows/" + w.ID
	b.do(req{method: "GET", path: run, header: map[string]string{wire.HeaderHead: "lost 1 2 3"}}, 200, nil)
	b.do(req{method: "GET", path: run + "/entries"}, 200, nil)
	b.do(req{method: "GET", path: run + "/journal"}, 200, nil)
	b.do(req{method: "GET", path: run + "/plan"}, 200, nil)
	b.do(req{method: "POST", path: run + "/verify"}, 200, nil)
	var p wire.Problem
	b.do(req{method: "GET", path: "/readyz", token: "-"}, 503, &p)
	if p.Code != "unavailable" || !strings.Contains(p.Detail, "safe mode") || !strings.Contains(p.Detail, "records 4 to 9 are missing") {
		t.Errorf("%+v", p)
	}
	for _, r := range []req{
		{method: "POST", path: "/v1/windows", body: wire.WindowDraft{Name: "n"}},
		{method: "POST", path: run + "/entries", body: intent},
		{method: "POST", path: run + "/entries/batch", body: wire.EntryBatch{Entries: []wire.EntryDraft{b.draft("/1"), intent}}},
		{method: "POST", path: run + "/seal", body: wire.ReasonRequest{}},
		{method: "POST", path: run + "/keep", body: wire.ReasonRequest{}},
		{method: "POST", path: run + "/rollbacks", body: wire.RollbackRequest{}},
		{method: "POST", path: "/v1/entries/" + e.ID + "/void", body: wire.ReasonRequest{Reason: "r"}},
		{method: "POST", path: "/v1/entries/" + e.ID + "/renew"},
		{method: "POST", path: "/v1/entries/" + e.ID + "/resolve", body: wire.ResolveRequest{Decision: "retry", Reason: "r"}},
	} {
		var p wire.Problem
		out := b.do(r, 503, &p)
		if p.Code != "unavailable" || p.Type != wire.TypeSafeMode || !strings.HasPrefix(p.Detail, "safe mode: ") || !strings.HasPrefix(out.Header().Get(wire.HeaderWarning), "safe mode: ") {
			t.Errorf("%s %s: %+v", r.method, r.path, p)
		}
	}
	b.facts(v, w.ID, e.ID)
}

func (b *bench) facts(v *fakeVigil, window, entry string) {
	b.Helper()
	run := "/v1/windows/" + window
	var one wire.Aside
	unnamed := b.draft("/2")
	unnamed.ID = ""
	b.do(req{method: "POST", path: run + "/entries", body: unnamed}, 202, &one)
	if one.ID == "" || one.WindowID != window || len(one.Warnings) != 1 {
		b.Errorf("%+v", one)
	}
	var list wire.AsideList
	b.do(req{method: "POST", path: run + "/entries/batch", body: wire.EntryBatch{Entries: []wire.EntryDraft{b.draft("/3"), b.draft("/4")}}}, 202, &list)
	b.do(req{method: "POST", path: "/v1/entries/" + entry + "/applied", body: wire.AppliedRequest{}}, 202, nil)
	if len(v.aside) != 3 || len(list.Items) != 2 || !strings.HasPrefix(string(v.aside[0].Body), `{"id":"`+one.ID+`",`) ||
		v.aside[2].Path != "/v1/entries/"+entry+"/applied" {
		b.Fatalf("%d kept aside: %+v", len(v.aside), v.aside)
	}
	// What was kept is taken in by the same API as it is, once the ledger takes changes again.
	v.mu.Lock()
	v.safe = nil
	v.mu.Unlock()
	for i, want := range []int{201, 201, 200} {
		c := v.aside[i]
		b.do(req{method: c.Method, path: c.Path, body: string(c.Body), header: map[string]string{"Idempotency-Key": c.Key}}, want, nil)
	}
}
