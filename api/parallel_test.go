package api

import (
	"testing"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// A run says at how many systems it undoes at once; a plan says its critical path, and how long that takes once something
// was undone.
func TestParallelOverTheAPI(t *testing.T) {
	b := newBench(t)
	url, _ := b.serve()
	c := b.client(url)
	plan := func() (*wire.Window, *wire.Plan) {
		w, err := c.OpenWindow(t.Context(), wire.WindowDraft{Name: "w"})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"/" + w.ID + "/1", "/" + w.ID + "/2"} {
			b.record(w.ID, b.draft(at))
		}
		p, err := c.Plan(t.Context(), w.ID, client.Selection{})
		if err != nil {
			t.Fatal(err)
		}
		if s := p.CriticalPath.Systems; p.CriticalPath.Entries != 2 || len(s) != 1 || s[0] != (wire.PathPart{System: "shelf", Entries: 2}) {
			t.Errorf("the critical path is %+v", p.CriticalPath)
		}
		return w, p
	}
	w, p := plan()
	if e := p.Estimate; e.Measured != 0 || e.AtBest != "" || len(e.Unmeasured) != 1 {
		t.Errorf("before anything was undone: %+v", e)
	}
	if run := b.rollback(w.ID, wire.RollbackRequest{Parallel: 8}); run.Parallel != 8 || !run.Complete {
		t.Errorf("%+v", run)
	}
	w, p = plan()
	if e := p.Estimate; e.Measured != 2 || e.AtBest == "" || e.AtBest != e.OneByOne || len(e.Unmeasured) != 0 {
		t.Errorf("after two undos: %+v", e)
	}
	if run := b.rollback(w.ID, wire.RollbackRequest{}); run.Parallel != 1 {
		t.Errorf("unasked: %+v", run)
	}
}
