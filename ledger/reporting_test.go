package ledger_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sideledger/ledger"
)

func intent(d ledger.Draft) ledger.Draft {
	d.State = ledger.EntryIntended
	return d
}

// The first report may complete and correct the resource; what was reported stands from then on.
func TestApplied(t *testing.T) {
	s := newStand(t)
	e := s.mustRecord(intent(update("/hooks", `{"v":1}`, "")))
	report := func(resource, after string) (*ledger.Entry, error) {
		return s.ledger.Applied(t.Context(), e.ID, ledger.Report{Resource: json.RawMessage(resource), After: doc(after)})
	}
	got, err := report(`{"id":7,"path":"/hooks"}`, `{"v":2}`)
	if err != nil || string(got.Resource) != `{"path":"/hooks","id":7}` {
		t.Fatalf("%s, %v", got.Resource, err)
	}
	got, err = report(`{"id":7,"zone":"eu"}`, "")
	if err != nil || string(got.Resource) != `{"path":"/hooks","id":7,"zone":"eu"}` {
		t.Fatalf("completed: %s, %v", got.Resource, err)
	}
	for _, other := range []string{`{"id":8}`, `{"path":"/other"}`, `{"zone":"EU","id":7}`} {
		_, err := report(other, "")
		s.wantCode(other, err, ledger.CodeConflict)
	}
	_, err = report("", `{"v":3}`)
	s.wantCode("another after-image", err, ledger.CodeConflict)
	if got, err := s.ledger.Entry(t.Context(), e.ID); err != nil || string(got.Resource) != `{"path":"/hooks","id":7,"zone":"eu"}` || string(got.After.JSON) != `{"v":2}` {
		t.Errorf("%s %s, %v", got.Resource, got.After.JSON, err)
	}
}

// Reports that complete one entry at the same time lose nothing of each other; of two that contradict one wins.
func TestAppliedAtOnce(t *testing.T) {
	s := newStand(t)
	e := s.mustRecord(intent(update("/hooks", `{"v":1}`, `{"v":2}`)))
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for _, r := range []string{`{"a":1}`, `{"b":2}`, `{"c":3}`, `{"id":1}`, `{"id":2}`} {
		wg.Go(func() {
			_, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{Resource: json.RawMessage(r)})
			mu.Lock()
			defer mu.Unlock()
			if ledger.CodeOf(err) == ledger.CodeConflict {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.ledger.Entry(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(got.Resource, &members); err != nil || len(members) != 5 || refused != 1 {
		t.Errorf("resource %s, %d refused", got.Resource, refused)
	}
}

// A system that was taken out of the configuration loses no report.
func TestAppliedWithoutItsSystem(t *testing.T) {
	s := newStand(t)
	e := s.mustRecord(intent(update("/hooks", `{"v":1}`, "")))
	s.third.Gone.Store(true)
	got, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{Resource: json.RawMessage(`{"id":7}`), After: doc(`{"v":2}`)})
	if err != nil || string(got.Resource) != `{"path":"/hooks","id":7}` || string(got.After.JSON) != `{"v":2}` {
		t.Fatalf("%s, %v", got.Resource, err)
	}
	if !slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, "not configured") }) {
		t.Errorf("warnings %q", got.Warnings)
	}
	if got.ResourceKey != ledger.ResourceKey("sys", got.Resource) {
		t.Error("the key is not that of the completed resource")
	}
}

// Each entry is verified over what it owns itself, whatever others own of the same resource.
func TestVerifyEachByItsOwnScope(t *testing.T) {
	s := newStand(t)
	a := update("/doc", `{"a":1,"x":1}`, `{"a":2,"x":1}`)
	a.Owned = []string{"/a"}
	b := update("/doc", `{"b":1,"x":1}`, `{"b":2,"x":1}`)
	b.Owned, b.Volatile = []string{"/b", "/x"}, []string{"/x"}
	c := update("/doc", `{"x":1}`, `{"x":5}`)
	c.Owned = []string{"/x"}
	for _, d := range []ledger.Draft{a, b, c} {
		s.fact(d)
	}
	s.third.Set("/doc", `{"a":2,"b":2,"x":9}`)
	list, err := s.ledger.Verify(t.Context(), s.window)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range list {
		got = append(got, v.Verdict)
	}
	if want := []string{"drifted", "same", "same"}; !slices.Equal(got, want) { // newest first: c, b, a
		t.Errorf("%v, want %v", got, want)
	}
}

// The report that was missing comes while the undo of the entry is on its way: it is kept, and the run ends as it would have.
func TestAppliedWhileItsUndoIsSent(t *testing.T) {
	s := newStand(t)
	e := s.mustRecord(intent(update("/hooks", `{"v":1}`, `{"v":2}`)))
	s.third.Set("/hooks", `{"v":2}`)
	s.now = e.PerformBy.Add(time.Second) // nobody reported: the look decides
	s.third.OnUndo = func(int, string) (bool, error) {
		got, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{})
		if err != nil || got.State != ledger.EntryUndoing || !got.AppliedAt.Equal(s.now) || !got.Late {
			t.Errorf("while it is undone: %+v, %v", got, err)
		}
		return true, nil
	}
	run := s.roll()
	got := s.entry(e.ID)
	if run.State != ledger.RollbackFinished || got.State != ledger.EntryUndone || !got.AppliedAt.Equal(s.now) || len(got.Attempts) != 1 {
		t.Errorf("run %s, entry %s, applied at %s, %d attempts", run.State, got.State, got.AppliedAt, len(got.Attempts))
	}
}
