package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
)

// A stand is a ledger on a real store, with a clock that the test moves.
type stand struct {
	*testing.T
	ledger *ledger.Ledger
	third  *ledgertest.Third
	now    time.Time
	window uuid.UUID
	url    string // of the database
	store  *sqlstore.Store
}

func newStand(t *testing.T) *stand {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &stand{T: t, third: ledgertest.NewThird(), now: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC), url: postgres.New(t)}
	clock := func() time.Time { return s.now }
	store := sqlstoretest.Open(t, sqlstore.Config{URL: s.url, Clock: clock})
	s.store = store
	waker := runner.NewWaker()
	s.ledger = ledger.New(ledger.Config{Store: store, Systems: s.third, Clock: clock, Log: log, Waker: waker, Cipher: testCipher(t)})
	w, err := s.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	s.window = w.ID
	return s
}

func (s *stand) clock() time.Time { return s.now }

func asError(err error, to **ledger.Error) bool { return errors.As(err, to) }

// A noWaker wakes nobody.
type noWaker struct{}

func (noWaker) Wake(ledger.Rollback) {}

// roll rolls the window back to the end.
func (s *stand) roll() *ledger.RollbackView {
	s.Helper()
	run, err := s.ledger.StartRollback(s.Context(), s.window, ledger.RollbackRequest{})
	if err != nil {
		s.Fatal(err)
	}
	return s.finish(run.ID)
}

// finishLast works on the window's last run until it is over.
func (s *stand) finishLast() *ledger.RollbackView {
	s.Helper()
	w, err := s.ledger.Window(s.Context(), s.window)
	if err != nil {
		s.Fatal(err)
	}
	return s.finish(w.RollbackID)
}

func (s *stand) finish(id uuid.UUID) *ledger.RollbackView {
	s.Helper()
	r := runner.New(runner.Config{
		Ledger: s.ledger, Waker: runner.NewWaker(), Clock: func() time.Time { return s.now }, Sole: true,
		Log: slog.New(slog.DiscardHandler), JitterFunc: func(d time.Duration) time.Duration { return d },
	})
	r.RunOne(s.Context(), id)
	run, err := s.ledger.Rollback(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return run
}

func doc(s string) ledger.Image {
	if s == "" {
		return ledger.Image{}
	}
	return ledger.Image{JSON: json.RawMessage(s)}
}

func update(at, before, after string) ledger.Draft {
	return ledger.Draft{
		System: "sys", Kind: "test", Action: ledger.ActionUpdate, Resource: json.RawMessage(fmt.Sprintf(`{"path":%q}`, at)),
		Before: doc(before), After: doc(after),
	}
}

func (s *stand) record(d ledger.Draft) (*ledger.Entry, error) {
	got, err := s.ledger.Record(s.Context(), s.window, []ledger.Draft{d})
	if err != nil {
		return nil, err
	}
	return got[0].Entry, nil
}

func (s *stand) mustRecord(d ledger.Draft) *ledger.Entry {
	s.Helper()
	e, err := s.record(d)
	if err != nil {
		s.Fatal(err)
	}
	return e
}

// fact records an entry whose effect is there, and makes it.
func (s *stand) fact(d ledger.Draft) *ledger.Entry {
	s.Helper()
	d.State = ledger.EntryApplied
	s.third.Set(ledgertest.Path(d.Resource), string(d.After.JSON))
	return s.mustRecord(d)
}

func (s *stand) wantCode(what string, err error, want ledger.Code) {
	s.Helper()
	if ledger.CodeOf(err) != want {
		s.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestBadDraftsNameTheField(t *testing.T) {
	s := newStand(t)
	for field, change := range map[string]func(*ledger.Draft){
		"/system":         func(d *ledger.Draft) { d.System = "unknown" },
		"/kind":           func(d *ledger.Draft) { d.Kind = "" },
		"/id":             func(d *ledger.Draft) { d.ID = uuid.New() },
		"/action":         func(d *ledger.Draft) { d.Action = "upsert" },
		"/state":          func(d *ledger.Draft) { d.State = ledger.EntryUndone },
		"/on_rollback":    func(d *ledger.Draft) { d.OnRollback = "ignore" },
		"/reversible":     func(d *ledger.Draft) { d.Reversible = "maybe" },
		"/perform_within": func(d *ledger.Draft) { d.Perform = -time.Second },
		"/resource":       func(d *ledger.Draft) { d.Resource = json.RawMessage(`[1]`) },
		"/before":         func(d *ledger.Draft) { d.Before = ledger.Absent },
		"/after":          func(d *ledger.Draft) { d.After = ledger.Absent },
		"/owned/0":        func(d *ledger.Draft) { d.Owned = []string{"v"} },
		"/tag":            func(d *ledger.Draft) { d.Tag = strings.Repeat("x", 300) },
		"/note":           func(d *ledger.Draft) { d.Note = "a\x00b" },
		"/depends_on/0":   func(d *ledger.Draft) { d.DependsOn = []uuid.UUID{ledger.NewID()} },
	} {
		d := update("/a", `{"v":1}`, `{"v":2}`)
		change(&d)
		_, err := s.record(d)
		var e *ledger.Error
		if !errors.As(err, &e) || e.Code != ledger.CodeInvalid || e.Field != field || e.Msg == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	creates := map[string]ledger.Draft{"with a before": {Before: doc(`{"v":1}`)}, "without a before": {}}
	for name, c := range creates {
		c.System, c.Kind, c.Action, c.Resource, c.After = "sys", "test", ledger.ActionCreate, json.RawMessage(`{"path":"/x"}`), doc(`{"v":1}`)
		_, err := s.record(c)
		s.wantCode("a create "+name, err, ledger.CodeInvalid)
	}
	if list, err := s.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("something was recorded: %d, %v", len(list), err)
	}
}

func TestTheSameIDTwice(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"v":1}`, `{"v":2}`)
	d.ID = ledger.NewID()
	first := s.mustRecord(d)
	if _, err := s.ledger.Seal(t.Context(), s.window, ""); err != nil {
		t.Fatal(err)
	}
	got, err := s.ledger.Record(t.Context(), s.window, []ledger.Draft{d})
	if err != nil || !got[0].Replay || got[0].Entry.Seq != first.Seq {
		t.Errorf("a replay in a sealed window: %+v, %v", got, err)
	}
	d.Note = "other"
	_, err = s.record(d)
	s.wantCode("another content", err, ledger.CodeConflict)
	w, err := s.ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w2"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ledger.Record(t.Context(), w.ID, []ledger.Draft{update("/a", `{"v":1}`, `{"v":2}`), func() ledger.Draft { d.Note = ""; return d }()})
	s.wantCode("the id of another window", err, ledger.CodeConflict)
	if v, err := s.ledger.Window(t.Context(), w.ID); err != nil || v.LastSeq != 0 {
		t.Errorf("a batch with a bad entry left %d entries", v.LastSeq)
	}
}

func TestWindowTakesIntentsOrNot(t *testing.T) {
	s := newStand(t)
	intent := update("/a", `{"v":1}`, `{"v":2}`)
	s.mustRecord(intent)
	for _, move := range []struct {
		name string
		do   func() error
		want ledger.Code
	}{
		{"sealed", func() error { _, err := s.ledger.Seal(t.Context(), s.window, ""); return err }, ledger.CodeConflict},
		{"reopened", func() error { _, err := s.ledger.Reopen(t.Context(), s.window, ""); return err }, ""},
		{"kept", func() error { _, err := s.ledger.Keep(t.Context(), s.window, ""); return err }, ledger.CodeConflict},
		{"given back", func() error { _, err := s.ledger.Reopen(t.Context(), s.window, ""); return err }, ledger.CodeConflict},
	} {
		if err := move.do(); err != nil {
			t.Fatalf("%s: %v", move.name, err)
		}
		_, err := s.record(intent)
		s.wantCode("an intent in a window that is "+move.name, err, move.want)
		fact := update("/f", `{"v":1}`, `{"v":2}`)
		fact.State = ledger.EntryApplied
		if e := s.mustRecord(fact); e.Late {
			t.Errorf("a fact in a window that is %s is late", move.name)
		}
	}
}

func TestReports(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"v":1}`, "")
	e := s.mustRecord(d)
	e, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{After: doc(`{"v":2}`), Resource: json.RawMessage(`{"id":9007199254740993}`)})
	if err != nil || e.State != ledger.EntryApplied || string(e.Resource) != `{"path":"/a","id":9007199254740993}` || string(e.After.JSON) != `{"v":2}` {
		t.Fatalf("%+v, %v", e, err)
	}
	if again, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{}); err != nil || again.Journal != e.Journal {
		t.Errorf("the same report again: %v", err)
	}
	_, err = s.ledger.Applied(t.Context(), e.ID, ledger.Report{After: doc(`{"v":3}`)})
	s.wantCode("another after-image", err, ledger.CodeConflict)
	_, err = s.ledger.Void(t.Context(), e.ID, "no")
	s.wantCode("void of an applied entry", err, ledger.CodeConflict)
	_, err = s.ledger.Renew(t.Context(), e.ID)
	s.wantCode("renew of an applied entry", err, ledger.CodeConflict)

	v := s.mustRecord(update("/b", `{"v":1}`, `{"v":2}`))
	s.now = s.now.Add(30 * time.Second)
	r, err := s.ledger.Renew(t.Context(), v.ID)
	if err != nil || !r.PerformBy.Equal(s.now.Add(time.Minute)) {
		t.Errorf("renewed until %s, %v", r.PerformBy, err)
	}
	if _, err := s.ledger.Void(t.Context(), v.ID, "not done"); err != nil {
		t.Fatal(err)
	}
	back, err := s.ledger.Applied(t.Context(), v.ID, ledger.Report{})
	if err != nil || back.State != ledger.EntryApplied {
		t.Errorf("a fact on a void entry: %v", err)
	}
}

func TestCapture(t *testing.T) {
	s := newStand(t)
	s.third.Set("/a", `{"v":1,"big":9007199254740993,"e":1.0E+2}`)
	d := update("/a", "", "")
	d.Capture = true
	e := s.mustRecord(d)
	if string(e.Before.JSON) != `{"v":1,"big":9007199254740993,"e":1.0E+2}` {
		t.Errorf("before %s", e.Before.JSON)
	}
	s.third.Set("/a", `{"v":2,"big":9007199254740993,"e":1.0E+2}`)
	e, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{})
	if err != nil || string(e.After.JSON) != `{"v":2,"big":9007199254740993,"e":1.0E+2}` {
		t.Errorf("after %s, %v", e.After.JSON, err)
	}
	there := d
	there.Action = ledger.ActionCreate
	_, err = s.record(there)
	s.wantCode("a create of what is there", err, ledger.CodeConflict)
	absent := update("/nothing", "", "")
	absent.Capture = true
	_, err = s.record(absent)
	s.wantCode("an update of what is not there", err, ledger.CodeConflict)
	if err != nil && !strings.Contains(err.Error(), "action create") {
		t.Errorf("it does not say what to do: %v", err)
	}
	s.third.OnLook = func(int, string) error { return &ledger.CallError{Class: ledger.CallNotSent} }
	_, err = s.record(d)
	s.wantCode("an intent whose capture fails", err, ledger.CodeConflict)
	d.State = ledger.EntryApplied
	if e := s.mustRecord(d); !slices.ContainsFunc(e.Warnings, func(w string) bool { return strings.HasPrefix(w, "capture failed") }) {
		t.Errorf("a fact whose capture fails says %v", e.Warnings)
	}
}

// Two changes of one resource: the plan foresees what the newer undo leaves behind.
func TestPlanForeseesAndWritesNothing(t *testing.T) {
	s := newStand(t)
	s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	s.fact(update("/a", `{"v":2}`, `{"v":3}`))
	s.fact(update("/b", `{"v":1}`, `{"v":2}`))
	guard := update("/g", `{"v":1}`, `{"v":2}`)
	guard.OnRollback = ledger.OnRollbackRetain
	s.fact(guard)
	s.third.Set("/b", `{"v":"x"}`)
	dep := update("/c", `{"v":1}`, `{"v":2}`)
	s.fact(dep)
	before, err := s.ledger.Window(t.Context(), s.window)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	sum, err := s.ledger.Plan(t.Context(), s.window, ledger.Selection{}, func(st ledger.Step) error {
		got = append(got, fmt.Sprintf("%d %s %s", st.Entry.Seq, st.Verdict, st.Now.JSON))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`5 undo {"v":2}`, `4 retained `, `3 drifted {"v":"x"}`, `2 undo {"v":3}`, `1 undo {"v":2}`}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	after, err := s.ledger.Window(t.Context(), s.window)
	if err != nil || after.Head != before.Head || len(s.third.Order()) != 0 {
		t.Error("the plan wrote something")
	}
	s.mustRecord(update("/d", `{"v":1}`, `{"v":2}`))
	_, err = s.ledger.StartRollback(t.Context(), s.window, ledger.RollbackRequest{Plan: sum.Fingerprint})
	s.wantCode("a plan of a window that has moved", err, ledger.CodeStale)
}

// The plan's verdicts are what the rollback then does.
func TestPlanKeepsItsWord(t *testing.T) {
	s := newStand(t)
	for i := range 3 {
		s.fact(update("/a", fmt.Sprintf(`{"v":%d}`, i), fmt.Sprintf(`{"v":%d}`, i+1)))
	}
	sum, err := s.ledger.Plan(t.Context(), s.window, ledger.Selection{}, func(ledger.Step) error { return nil })
	if err != nil || sum.Counts[ledger.VerdictUndo] != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if run := s.roll(); run.Counts.Undone != 3 || s.third.Get("/a") != `{"v":0}` {
		t.Errorf("%+v, /a %s", run.Counts, s.third.Get("/a"))
	}
}
