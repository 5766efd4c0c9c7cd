package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sideledger/api/client"
	"sideledger/api/wire"
)

func shelfRestore() *wire.Restore {
	return &wire.Restore{
		System: "shelf", Kind: "shelf", Resource: json.RawMessage(`{"path":"/machine"}`), Before: json.RawMessage(`{"live":"snap-1"}`),
	}
}

// A window shows the restore that it names, byte for byte, and a plan and a rollback take the same order over the API.
func TestRestoreOverTheAPI(t *testing.T) {
	b := newBench(t)
	url, _ := b.serve()
	c := b.client(url)
	w, err := c.OpenWindow(t.Context(), wire.WindowDraft{Name: "w", Snapshot: "snap-1", Restore: shelfRestore()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Window(t.Context(), w.ID)
	if err != nil || got.Restore == nil || string(got.Restore.Before) != `{"live":"snap-1"}` || got.Restore.System != "shelf" || got.Restore.After != nil {
		t.Fatalf("%+v, %v", got.Restore, err)
	}
	b.shelf.put("/machine", `{"live":"4.2"}`)
	first := b.draft("/first")
	first.BeforeRestore = true
	e := b.record(w.ID, first)
	if !e.BeforeRestore || e.Restore {
		t.Errorf("marked %v, a restore %v", e.BeforeRestore, e.Restore)
	}
	b.record(w.ID, b.draft("/last"))
	p, err := c.Plan(t.Context(), w.ID, client.Selection{RestoreSnapshot: true})
	if err != nil || len(p.Steps) != 3 || p.Steps[0].EntryID != e.ID || !p.Steps[0].BeforeRestore || !p.Steps[1].Restore || p.Steps[2].Seq != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	if p.Steps[1].Verdict != "undo" || string(p.Steps[1].Now) != `{"live":"4.2"}` || p.Steps[1].Request == nil {
		t.Errorf("the restore's step is %+v", p.Steps[1])
	}
	for body, field := range map[string]string{
		`{"restore_snapshot":true,"only":["1"]}`:         "/restore_snapshot",
		`{"plan":"` + p.Fingerprint + `"}`:               "/plan",
		`{"restore_snapshot":"yes"}`:                     "/restore_snapshot",
		`{"restore_snapshot":true,"restore":{"a":true}}`: "/restore",
	} {
		r := req{method: http.MethodPost, path: "/v1/windows/" + w.ID + "/rollbacks", body: body}
		if p := b.problem(r, http.StatusUnprocessableEntity, "invalid"); p.Field != field {
			t.Errorf("%s: field %q, want %q", body, p.Field, field)
		}
	}
	run := b.rollback(w.ID, wire.RollbackRequest{RestoreSnapshot: true, Plan: p.Fingerprint})
	if !run.RestoreSnapshot || !run.Complete || run.Counts.Undone != 3 || b.shelf.get("/machine") != `{"live":"snap-1"}` {
		t.Errorf("%+v, the machine shows %s", run, b.shelf.get("/machine"))
	}
}

// A window without a restore says so, and its plan and rollback refuse to be asked for one.
func TestNoRestoreNamed(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	if w.Restore != nil {
		t.Errorf("%+v", w.Restore)
	}
	plan := req{method: http.MethodGet, path: "/v1/windows/" + w.ID + "/plan?restore_snapshot=true"}
	if p := b.problem(plan, http.StatusUnprocessableEntity, "invalid"); p.Field != "/restore_snapshot" {
		t.Errorf("field %q", p.Field)
	}
	start := req{method: http.MethodPost, path: "/v1/windows/" + w.ID + "/rollbacks", body: wire.RollbackRequest{RestoreSnapshot: true}}
	if p := b.problem(start, http.StatusUnprocessableEntity, "invalid"); p.Field != "/restore_snapshot" || !strings.Contains(p.Detail, "names no restore") {
		t.Errorf("field %q: %s", p.Field, p.Detail)
	}
}

// A restore is checked when the window opens, offline, and the field that is wrong is named.
func TestRestoreRefusedAtOpening(t *testing.T) {
	b := newBench(t)
	for field, change := range map[string]func(r *wire.Restore){
		"/restore/system":   func(r *wire.Restore) { r.System = "nobody" },
		"/restore/kind":     func(r *wire.Restore) { r.Kind = "" },
		"/restore/before":   func(r *wire.Restore) { r.Before = json.RawMessage("null") },
		"/restore/after":    func(r *wire.Restore) { r.After = json.RawMessage("null") },
		"/restore/resource": func(r *wire.Restore) { r.Resource = json.RawMessage("[]") },
		"/restore/owned/0":  func(r *wire.Restore) { r.Owned = []string{"live"} },
	} {
		d := wire.WindowDraft{Name: "w", Restore: shelfRestore()}
		change(d.Restore)
		p := b.problem(req{method: http.MethodPost, path: "/v1/windows", body: d}, http.StatusUnprocessableEntity, "invalid")
		if p.Field != field {
			t.Errorf("field %q (%s), want %q", p.Field, p.Detail, field)
		}
	}
	// Nothing to compare with, nothing that could be compared, and a mark that a retained entry cannot have.
	d := wire.WindowDraft{Name: "w", Restore: shelfRestore()}
	for _, masked := range []string{"", "/live"} {
		d.Restore.Masked = []string{masked}
		if p := b.problem(req{method: http.MethodPost, path: "/v1/windows", body: d}, http.StatusUnprocessableEntity, "invalid"); p.Field != "/restore/before" {
			t.Errorf("all masked: field %q", p.Field)
		}
	}
	d.Restore = shelfRestore()
	d.Restore.Before = json.RawMessage("{}")
	if p := b.problem(req{method: http.MethodPost, path: "/v1/windows", body: d}, http.StatusUnprocessableEntity, "invalid"); p.Field != "/restore/before" {
		t.Errorf("an empty before: field %q", p.Field)
	}
	retained := b.draft("/kept")
	retained.OnRollback, retained.BeforeRestore = "retain", true
	r := req{method: http.MethodPost, path: "/v1/windows/" + b.window("w").ID + "/entries", body: retained}
	if p := b.problem(r, http.StatusUnprocessableEntity, "invalid"); p.Field != "/before_restore" {
		t.Errorf("retained and marked: field %q", p.Field)
	}
}
