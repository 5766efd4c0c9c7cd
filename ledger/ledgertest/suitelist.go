package ledgertest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// entryStates are all of them.
var entryStates = []ledger.EntryState{
	ledger.EntryIntended, ledger.EntryApplied, ledger.EntryVoid, ledger.EntryUndoing, ledger.EntryUndone, ledger.EntryStuck,
	ledger.EntryWaived,
}

// mixed records n entries of all states, outcomes, systems, kinds and tags.
func mixed(t *testing.T, s ledger.Store, windowID uuid.UUID, n int, rnd *rand.Rand) []ledger.Entry {
	t.Helper()
	outcomes := []ledger.Outcome{
		ledger.OutcomeUndone, ledger.OutcomeAlreadyUndone, ledger.OutcomeCompensated, ledger.OutcomeUnverified, ledger.OutcomeByHand,
	}
	es := make([]ledger.Entry, n)
	ptrs := make([]*ledger.Entry, n)
	for i := range es {
		e := NewEntry(windowID, pick(rnd, "a", "b", "A", "a "))
		e.Kind, e.Tag, e.State = pick(rnd, "k1", "k2"), pick(rnd, "", "x", "ü", "X"), pick(rnd, entryStates...)
		e.RecordedBy, e.Doubted = pick(rnd, "t1", "t2"), rnd.IntN(4) == 0
		if e.State == ledger.EntryUndone {
			e.Outcome = pick(rnd, outcomes...)
		}
		if rnd.IntN(4) == 0 {
			e.OnRollback = ledger.OnRollbackRetain
		}
		if rnd.IntN(5) == 0 {
			e.Alias = &ledger.Alias{Resource: json.RawMessage(`{"id":"2"}`), At: start}
		}
		if rnd.IntN(3) == 0 {
			e.ResourceKey = ledger.Key{1}
		}
		es[i], ptrs[i] = e, &es[i]
	}
	recorded(t, s, windowID, ptrs...)
	return es
}

func pick[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

func seqs(es []ledger.Entry) []int {
	out := []int{}
	for i := range es {
		out = append(out, es[i].Seq)
	}
	return out
}

// Pages of every size, both ways, under filters, together are what one reading in memory finds.
func testEntryPages(t *testing.T, s ledger.Store) {
	rnd := rand.New(rand.NewPCG(1, 2))
	w, other := opened(t, s, "w"), opened(t, s, "other")
	es := mixed(t, s, w.ID, 60, rnd)
	mixed(t, s, other.ID, 5, rnd)
	for name, c := range map[string]struct {
		q    ledger.EntryQuery
		want func(e *ledger.Entry) bool
	}{
		"all":    {ledger.EntryQuery{}, func(*ledger.Entry) bool { return true }},
		"open":   {ledger.EntryQuery{OpenOnly: true}, func(e *ledger.Entry) bool { return !e.Closed() }},
		"states": {ledger.EntryQuery{States: []ledger.EntryState{ledger.EntryStuck, ledger.EntryVoid}}, func(e *ledger.Entry) bool { return e.State == ledger.EntryStuck || e.State == ledger.EntryVoid }},
		"token":  {ledger.EntryQuery{RecordedBy: "t1"}, func(e *ledger.Entry) bool { return e.RecordedBy == "t1" }},
		"resource": {
			ledger.EntryQuery{Resource: ledger.Key{1}},
			func(e *ledger.Entry) bool { return e.ResourceKey == ledger.Key{1} },
		},
		"doubt":  {ledger.EntryQuery{Doubted: true, OpenOnly: true}, func(e *ledger.Entry) bool { return e.Doubted && !e.Closed() }},
		"alias":  {ledger.EntryQuery{Aliased: true}, func(e *ledger.Entry) bool { return e.Alias != nil }},
		"select": {ledger.EntryQuery{Select: ledger.Selection{Only: []ledger.Term{{System: "a"}}}}, func(e *ledger.Entry) bool { return e.System == "a" }},
	} {
		for _, limit := range []int{1, 7, 59, 60, 61} {
			for _, desc := range []bool{false, true} {
				q := c.q
				q.WindowID, q.Limit, q.Desc = w.ID, limit, desc
				want := []int{}
				for i := range es {
					if c.want(&es[i]) {
						want = append(want, es[i].Seq)
					}
				}
				if desc {
					slices.Reverse(want)
				}
				t.Run(fmt.Sprintf("%s/%d/%v", name, limit, desc), func(t *testing.T) { same(t, walkEntries(t, s, q), want) })
			}
		}
	}
	none, err := s.ListEntries(t.Context(), ledger.EntryQuery{WindowID: w.ID})
	must(t, err)
	same(t, len(none), 0)
}

func walkEntries(t *testing.T, s ledger.Store, q ledger.EntryQuery) []int {
	t.Helper()
	got := []int{}
	for {
		es, err := s.ListEntries(t.Context(), q)
		must(t, err)
		if len(es) > q.Limit {
			t.Fatalf("%d entries in a page of %d", len(es), q.Limit)
		}
		if len(es) == 0 {
			return got
		}
		got = append(got, seqs(es)...)
		q.From = got[len(got)-1]
	}
}

// OpenOnly means !Closed for every state there is, retained or not, also after the entry has moved.
func testOpenOnly(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	var want []int
	for _, state := range entryStates {
		for _, on := range []ledger.OnRollback{ledger.OnRollbackUndo, ledger.OnRollbackRetain} {
			e, moved := NewEntry(w.ID, "a"), NewEntry(w.ID, "b")
			e.State, e.OnRollback, moved.OnRollback = state, on, on
			recorded(t, s, w.ID, &e, &moved)
			moved.State = state
			update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveEntry(&moved, ledger.EntryApplied) })
			if !e.Closed() {
				want = append(want, e.Seq, moved.Seq)
			}
		}
	}
	es, err := s.ListEntries(t.Context(), ledger.EntryQuery{WindowID: w.ID, OpenOnly: true, Limit: 1000})
	must(t, err)
	same(t, seqs(es), want)
}

// A store's selection is what Selection.Has says, in lists, counts and units alike.
func testSelection(t *testing.T, s ledger.Store) {
	rnd := rand.New(rand.NewPCG(3, 4))
	w, other := opened(t, s, "w"), opened(t, s, "other")
	es := mixed(t, s, w.ID, 80, rnd)
	foreign := mixed(t, s, other.ID, 3, rnd)
	for i := range 300 {
		sel := randomSelection(rnd, es, foreign)
		var want []ledger.Entry
		for j := range es {
			if sel.Has(&es[j]) {
				want = append(want, es[j])
			}
		}
		got, err := s.ListEntries(t.Context(), ledger.EntryQuery{WindowID: w.ID, Select: sel, Limit: 1000})
		must(t, err)
		if !slices.Equal(seqs(got), seqs(want)) {
			t.Fatalf("selection %d %+v: got %v, want %v", i, sel, seqs(got), seqs(want))
		}
		counts, err := s.CountEntries(t.Context(), w.ID, sel)
		must(t, err)
		same(t, counts, CountsOf(want))
		if i%10 == 0 {
			update(t, s, w.ID, func(tx ledger.Tx) error {
				counts, err := tx.Count(sel)
				must(t, err)
				same(t, counts, CountsOf(want))
				return nil
			})
		}
	}
}

func randomSelection(rnd *rand.Rand, es, foreign []ledger.Entry) ledger.Selection {
	term := func() ledger.Term {
		switch rnd.IntN(9) {
		case 0:
			return ledger.Term{ID: pick(rnd, es...).ID}
		case 1:
			return ledger.Term{ID: pick(rnd, foreign...).ID}
		case 2:
			return ledger.Term{Seq: rnd.IntN(len(es)+10) - 2}
		case 3:
			return ledger.Term{System: pick(rnd, "a", "b", "A", "a ", "zz", "' OR 1=1", "a\x00", "\xff", "%")}
		case 4:
			return ledger.Term{Kind: pick(rnd, "k1", "k2", "k3", "?")}
		case 5, 6:
			return ledger.Term{Tag: pick(rnd, "x", "ü", "u\u0308", "X", "none")}
		case 7: // not one of the five ways: the first that is set counts
			return ledger.Term{Seq: 1 + rnd.IntN(len(es)), System: "a", Tag: "x"}
		default:
			return ledger.Term{}
		}
	}
	var sel ledger.Selection
	for range rnd.IntN(4) {
		sel.Only = append(sel.Only, term())
	}
	for range rnd.IntN(3) {
		sel.Exclude = append(sel.Exclude, term())
	}
	if rnd.IntN(3) == 0 {
		sel.After = rnd.IntN(len(es)+4) - 2
	}
	return sel
}

func testSharedResources(t *testing.T, s ledger.Store) {
	w, other := opened(t, s, "w"), opened(t, s, "other")
	one, two, zero := ledger.Key{1}, ledger.Key{2}, ledger.Key{}
	add := func(windowID uuid.UUID, key ledger.Key, state ledger.EntryState, on ledger.OnRollback) {
		e := NewEntry(windowID, "a")
		e.ResourceKey, e.State, e.OnRollback = key, state, on
		recorded(t, s, windowID, &e)
	}
	for range 3 {
		add(w.ID, one, ledger.EntryApplied, ledger.OnRollbackUndo)
		add(w.ID, zero, ledger.EntryApplied, ledger.OnRollbackUndo)
	}
	add(w.ID, one, ledger.EntryUndone, ledger.OnRollbackUndo)
	add(w.ID, one, ledger.EntryApplied, ledger.OnRollbackRetain)
	add(w.ID, two, ledger.EntryStuck, ledger.OnRollbackUndo)
	add(w.ID, two, ledger.EntryVoid, ledger.OnRollbackUndo)
	add(other.ID, two, ledger.EntryApplied, ledger.OnRollbackUndo)
	got, err := s.SharedResources(t.Context(), w.ID)
	must(t, err)
	same(t, got, map[ledger.Key]int{one: 3})
}

func testSystemsInUse(t *testing.T, s ledger.Store) {
	add := func(state ledger.WindowState, system string, es ledger.EntryState, on ledger.OnRollback) {
		w := opened(t, s, "w")
		e := NewEntry(w.ID, system)
		e.State, e.OnRollback = es, on
		recorded(t, s, w.ID, &e)
		update(t, s, w.ID, func(tx ledger.Tx) error { tx.Window().State = state; return nil })
	}
	add(ledger.WindowStuck, "stuck", ledger.EntryStuck, ledger.OnRollbackUndo)
	add(ledger.WindowOpen, "open", ledger.EntryApplied, ledger.OnRollbackUndo)
	add(ledger.WindowSealed, "open", ledger.EntryIntended, ledger.OnRollbackUndo)
	add(ledger.WindowRollingBack, "back", ledger.EntryUndoing, ledger.OnRollbackUndo)
	add(ledger.WindowKept, "kept", ledger.EntryApplied, ledger.OnRollbackUndo)
	add(ledger.WindowRolledBack, "over", ledger.EntryUndone, ledger.OnRollbackUndo)
	add(ledger.WindowOpen, "void", ledger.EntryVoid, ledger.OnRollbackUndo)
	add(ledger.WindowOpen, "retained", ledger.EntryApplied, ledger.OnRollbackRetain)
	for state, system := range map[ledger.WindowState]string{ledger.WindowOpen: "vm", ledger.WindowSealed: "open", ledger.WindowKept: "old"} {
		w := NewWindow("restored")
		restore := NewEntry(w.ID, system).Draft
		w.Restore, w.State = &restore, state
		must(t, s.Open(t.Context(), w, func(ledger.Tx) error { return nil }))
	}
	got, err := s.SystemsInUse(t.Context())
	must(t, err)
	slices.Sort(got)
	same(t, got, []string{"back", "open", "stuck", "vm"})
}

func testAttemptTimes(t *testing.T, s ledger.Store) {
	w := opened(t, s, "w")
	var list []*ledger.Entry
	for _, system := range []string{"old", "a", "b"} {
		e := NewEntry(w.ID, system)
		list = append(list, &e)
	}
	recorded(t, s, w.ID, list...)
	attempt := func(e *ledger.Entry, n int, took time.Duration, result string) {
		a := ledger.Attempt{N: n, StartedAt: start, Result: result}
		if took > 0 {
			a.EndedAt = start.Add(took)
		}
		update(t, s, w.ID, func(tx ledger.Tx) error { return tx.SaveAttempt(e.ID, a) })
	}
	attempt(list[0], 1, time.Hour, "accepted")
	attempt(list[1], 1, 2*time.Second, "accepted")
	attempt(list[1], 2, time.Minute, string(ledger.CallNotSent))
	attempt(list[2], 1, 3*time.Second, string(ledger.CallAmbiguous))
	attempt(list[2], 2, 0, "") // open
	got, err := s.AttemptTimes(t.Context(), 4)
	must(t, err)
	slices.SortFunc(got, func(a, b ledger.AttemptTime) int { return int(a.Took - b.Took) })
	same(t, got, []ledger.AttemptTime{{System: "a", Took: 2 * time.Second}, {System: "b", Took: 3 * time.Second}})
}
