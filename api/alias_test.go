package api

import (
	"strings"
	"testing"

	"sideledger/api/wire"
)

// The name under which an undo brought a resource back is a field of the entry, in its answer, in lists and in the journal.
func TestAliasIsAnswered(t *testing.T) {
	b := newBench(t)
	b.shelf.renames = true
	w := b.window("w")
	kept := b.record(w.ID, b.draft("/kept"))
	d := b.draft("/gone")
	d.Action, d.After = "delete", []byte("null")
	delete(b.shelf.docs, "/gone")
	gone := b.record(w.ID, d)
	if gone.Alias != nil {
		t.Errorf("recorded under another name: %+v", gone.Alias)
	}
	if run := b.rollback(w.ID, nil); run.Counts.Compensated != 1 || run.Counts.Undone != 1 {
		t.Errorf("%+v", run.Counts)
	}
	var list wire.EntryList
	b.do(req{method: "GET", path: "/v1/windows/" + w.ID + "/entries"}, 200, &list)
	var one wire.Entry
	b.do(req{method: "GET", path: "/v1/entries/" + gone.ID}, 200, &one)
	for _, e := range append(list.Items, one) {
		switch {
		case e.ID == kept.ID && e.Alias != nil:
			t.Errorf("it kept its name and is called %s", e.Alias.Resource)
		case e.ID == gone.ID && (e.Alias == nil || string(e.Alias.Resource) != `{"path":"/gone.new"}` || !e.Alias.At.Equal(*e.UndoneAt)):
			t.Errorf("it is called %+v", e.Alias)
		case e.ID == gone.ID && (string(e.Resource) != `{"path":"/gone"}` || e.Outcome != "compensated" || !strings.Contains(e.Detail, "/gone.new")):
			t.Errorf("%+v", e)
		}
	}
}
