package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// Another window's entry on a resource is said where ours is recorded, in the plan, and on the entry that it blocks.
func TestOverlapIsAnswered(t *testing.T) {
	b := newBench(t)
	ours, theirs := b.window("ours"), b.window("theirs")
	first := b.record(ours.ID, b.draft("/flag"))
	last := b.record(theirs.ID, b.draft("/flag"))
	if w := strings.Join(last.Warnings, "\n"); !strings.Contains(w, `overlap: window "ours" (`+ours.ID+`) has entry 1 (`+first.ID+`)`) {
		t.Errorf("warnings %q", last.Warnings)
	}
	var list wire.EntryList
	b.do(req{method: "POST", path: "/v1/windows/" + ours.ID + "/entries/batch", body: wire.EntryBatch{Entries: []wire.EntryDraft{b.draft("/other"), b.draft("/flag")}}}, 201, &list)
	for i, want := range []bool{false, true} {
		if got := strings.Contains(strings.Join(list.Items[i].Warnings, "\n"), last.ID); got != want {
			t.Errorf("entry %d of the batch: %q", i, list.Items[i].Warnings)
		}
	}
	var plan wire.Plan
	b.do(req{method: "GET", path: "/v1/windows/" + theirs.ID + "/plan"}, 200, &plan)
	o := plan.Steps[0].Overlap
	if plan.Steps[0].Verdict != "blocked" || o == nil || o.WindowID != ours.ID || o.Window != "ours" || o.EntryID != list.Items[1].ID || o.Seq != 3 || o.State != "applied" || o.Waits {
		t.Errorf("step %+v, overlap %+v", plan.Steps[0], o)
	}
	if run := b.rollback(theirs.ID, nil); run.Complete || run.Counts.Stuck != 1 {
		t.Errorf("run %+v", run)
	}
	var stuck wire.Entry
	b.do(req{method: "GET", path: "/v1/entries/" + last.ID}, 200, &stuck)
	if stuck.Reason != "blocked" || !strings.Contains(stuck.Detail, ours.ID) || !strings.Contains(stuck.Next, "--undo") {
		t.Errorf("%s: %q, next %q", stuck.Reason, stuck.Detail, stuck.Next)
	}
}

// CredentialMark implements [ledger.CredentialChecker]: a shelf has a credential where a test says when it ends.
func (s *shelf) CredentialMark() string {
	if s.ends.IsZero() {
		return ""
	}
	return "a"
}

// CheckCredential implements [ledger.CredentialChecker].
func (s *shelf) CheckCredential(context.Context) ledger.Credential {
	return ledger.Credential{State: ledger.CredentialAccepted, ExpiresAt: s.ends}
}

func TestCredentialIsAnswered(t *testing.T) {
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	b := newBench(t)
	b.shelf.ends = ends
	until := ends.Add(time.Hour)
	var w wire.Window
	b.do(req{method: "POST", path: "/v1/windows", body: wire.WindowDraft{Name: "w", EndsAt: &until}}, 201, &w)
	if len(w.Warnings) != 1 || !strings.HasPrefix(w.Warnings[0], "credential_expires: ") {
		t.Errorf("window %q", w.Warnings)
	}
	if e := b.record(w.ID, b.draft("/a")); !strings.Contains(strings.Join(e.Warnings, "\n"), "credential_expires: ") {
		t.Errorf("entry %q", e.Warnings)
	}
	var systems wire.SystemList
	b.do(req{method: "GET", path: "/v1/systems?window=" + w.ID}, 200, &systems)
	c := systems.Items[0].Credential
	if c == nil || c.State != "accepted" || !c.ExpiresAt.Equal(ends) || c.Warning != w.Warnings[0] {
		t.Errorf("system %+v", c)
	}
	b.do(req{method: "GET", path: "/v1/systems"}, 200, &systems)
	if c := systems.Items[0].Credential; c == nil || c.Warning != "" {
		t.Errorf("for no window: %+v", c)
	}
	b.problem(req{method: "GET", path: "/v1/systems?window=" + ledger.NewID().String()}, 404, "not_found")
	b.problem(req{method: "GET", path: "/v1/systems?window=x"}, 422, "invalid")
}
