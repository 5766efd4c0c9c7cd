package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

func TestLateFactAfterTheEndWaitsForAPerson(t *testing.T) {
	s := newStand(t)
	s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	if run := s.roll(); !run.Complete {
		t.Fatal("not complete")
	}
	late := s.fact(update("/a", `{"v":2}`, `{"v":3}`))
	if late.State != ledger.EntryStuck || late.Reason != ledger.ReasonLate || !late.Late {
		t.Fatalf("the late fact is %s %s", late.State, late.Reason)
	}
	w, err := s.ledger.Window(t.Context(), s.window)
	if err != nil || w.State != ledger.WindowStuck {
		t.Errorf("window %s", w.State)
	}
	n := len(s.third.Order())
	if run := s.roll(); run.Complete || len(s.third.Order()) != n {
		t.Error("a rollback undid a late fact that nobody decided on")
	}
	if _, err := s.ledger.Resolve(t.Context(), late.ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "undo it"}); err != nil {
		t.Fatal(err)
	}
	if run := s.roll(); !run.Complete || s.third.Get("/a") != `{"v":1}` {
		t.Errorf("%+v, /a %s", run.Counts, s.third.Get("/a"))
	}
}

func TestResolve(t *testing.T) {
	s := newStand(t)
	e := s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	_, err := s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideWaive, Reason: "r"})
	s.wantCode("an entry that is not stuck", err, ledger.CodeConflict)
	s.third.Set("/a", `{"v":"x"}`)
	s.roll()
	for field, r := range map[string]ledger.Resolution{
		"/decision": {Decision: "skip", Reason: "r"}, "/reason": {Decision: ledger.DecideWaive}, "/seen": {Decision: ledger.DecideWaive, Reason: "r", Seen: "x"},
	} {
		_, err := s.ledger.Resolve(t.Context(), e.ID, r)
		var bad *ledger.Error
		if !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	stuck, err := s.ledger.Entry(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.third.Set("/a", `{"v":"y"}`)
	_, err = s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "r", Seen: stuck.NowDigest})
	s.wantCode("a drift that moved", err, ledger.CodeStale)
	done, err := s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideDone, Reason: "by hand", Evidence: "https://x"})
	if err != nil || done.Outcome != ledger.OutcomeByHand || done.Decision.Evidence != "https://x" {
		t.Errorf("%+v, %v", done, err)
	}
	if run := s.roll(); !run.Complete || run.Counts.ByHand != 1 {
		t.Errorf("%+v", run.Counts)
	}
}

// TestSeenAgain: a state that has moved since it was shown is refused, kept on the entry for the person to look at, and
// with its digest agreed to.
func TestSeenAgain(t *testing.T) {
	s := newStand(t)
	e := s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	s.third.Set("/a", `{"v":9}`)
	s.roll()
	first := s.entry(e.ID)
	undo := func(seen string) error {
		_, err := s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "ours", Seen: seen})
		return err
	}
	s.third.Set("/a", `{"v":10}`)
	s.wantCode("a drift that moved", undo(first.NowDigest), ledger.CodeStale)
	now := s.entry(e.ID)
	if string(now.Now.JSON) != `{"v":10}` || now.NowDigest == first.NowDigest || now.State != ledger.EntryStuck || now.Decision != nil {
		t.Fatalf("the entry shows %s (%s), %s", now.Now.JSON, now.NowDigest, now.State)
	}
	if !strings.Contains(now.Next(), "--undo --seen "+now.NowDigest+"|--waive") {
		t.Errorf("next: %s", now.Next())
	}
	s.wantCode("the state of before", undo(first.NowDigest), ledger.CodeStale)
	if again := s.entry(e.ID); again.Journal != now.Journal {
		t.Errorf("the same look was written twice: record %d after %d", again.Journal.Number, now.Journal.Number)
	}
	step := s.step(e.ID)
	if step.Digest != now.NowDigest || step.Next() != now.Next() {
		t.Errorf("the plan says %s, next %s", step.Digest, step.Next())
	}
	if err := undo(step.Digest); err != nil {
		t.Fatal(err)
	}
	if run := s.finishLast(); !run.Complete || s.third.Get("/a") != `{"v":1}` {
		t.Errorf("%+v, the third party shows %s", run.Counts, s.third.Get("/a"))
	}
}

// TestPlanOffersTheStateItShows: the plan of an entry that is stuck names the digest of what it saw, and what is typed
// to agree to that; of one that is not stuck there is nothing to decide yet.
func TestPlanOffersTheStateItShows(t *testing.T) {
	s := newStand(t)
	e := s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	s.third.Set("/a", `{"v":9}`)
	if step := s.step(e.ID); step.Digest == "" || step.Next() != "" {
		t.Errorf("before the rollback: digest %q, next %q", step.Digest, step.Next())
	}
	s.roll()
	s.third.Set("/a", `{"v":10}`)
	step := s.step(e.ID)
	if stuck := s.entry(e.ID); step.Digest == stuck.NowDigest || !strings.Contains(step.Next(), step.Digest) {
		t.Errorf("the plan shows %s (%s), next %q; the entry %s", step.Now.JSON, step.Digest, step.Next(), stuck.NowDigest)
	}
}

func (s *stand) entry(id uuid.UUID) *ledger.Entry {
	s.Helper()
	e, err := s.ledger.Entry(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return e
}

// step returns the entry's step of a plan that is made now.
func (s *stand) step(id uuid.UUID) ledger.Step {
	s.Helper()
	var found ledger.Step
	_, err := s.ledger.Plan(s.Context(), s.window, ledger.Selection{}, func(step ledger.Step) error {
		if step.Entry.ID == id {
			found = step
		}
		return nil
	})
	if err != nil || found.Entry == nil {
		s.Fatalf("plan: %+v, %v", found, err)
	}
	return found
}

func TestVerify(t *testing.T) {
	s := newStand(t)
	s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	s.fact(update("/a", `{"v":2}`, `{"v":3}`))
	s.fact(update("/b", `{"v":1}`, `{"v":2}`))
	s.fact(update("/blind", `{"v":1}`, `{"v":2}`))
	s.third.Blind["/blind"] = true
	check := func(want string) {
		t.Helper()
		list, err := s.ledger.Verify(t.Context(), s.window)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, c.Verdict)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	check("unknown same same same")
	s.third.Set("/b", `{"v":9}`)
	check("unknown drifted same same")
	s.third.Set("/b", `{"v":2}`)
	s.roll()
	check("unknown same same same")
	s.third.Set("/a", `{"v":3}`)
	check("unknown same drifted drifted")
}

func TestOnceHappensOnce(t *testing.T) {
	s := newStand(t)
	key := ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/x", Key: "k"}
	once := &ledger.Once{Key: key, RequestHash: [32]byte{1}, RenderFunc: func(v any) (ledger.Reply, error) {
		return ledger.Reply{Status: 201, Body: []byte(v.([]ledger.Recorded)[0].Entry.ID.String())}, nil
	}}
	ctx := ledger.WithOnce(t.Context(), once)
	first, err := s.ledger.Record(ctx, s.window, []ledger.Draft{update("/a", `{"v":1}`, `{"v":2}`)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ledger.Record(ctx, s.window, []ledger.Draft{update("/a", `{"v":1}`, `{"v":2}`)})
	var replay *ledger.ReplayError
	if !errors.As(err, &replay) || string(replay.Reply.Body) != first[0].Entry.ID.String() || replay.Reply.Status != 201 {
		t.Errorf("%v", err)
	}
	other := *once
	other.RequestHash = [32]byte{2}
	_, err = s.ledger.Record(ledger.WithOnce(t.Context(), &other), s.window, []ledger.Draft{update("/a", `{"v":1}`, `{"v":2}`)})
	s.wantCode("another body under the key", err, ledger.CodeInvalid)
	if w, _ := s.ledger.Window(t.Context(), s.window); w.LastSeq != 1 {
		t.Errorf("%d entries", w.LastSeq)
	}
}

func TestIfMatchUnderTheFence(t *testing.T) {
	s := newStand(t)
	w, err := s.ledger.Window(t.Context(), s.window)
	if err != nil {
		t.Fatal(err)
	}
	ctx := ledger.WithExpected(t.Context(), w.Head.Number)
	s.mustRecord(update("/a", `{"v":1}`, `{"v":2}`))
	_, err = s.ledger.Seal(ctx, s.window, "")
	s.wantCode("a seal decided on an older state", err, ledger.CodeStale)
}

func TestTokens(t *testing.T) {
	s := newStand(t)
	secret, made, err := s.ledger.CreateToken(t.Context(), ledger.Token{Role: ledger.RoleRecorder, WindowID: s.window, ExpiresAt: s.now.Add(time.Hour)})
	if err != nil || !strings.HasPrefix(secret, "sl_recorder_") || strings.Contains(fmt.Sprintf("%+v", made), secret) {
		t.Fatalf("%q, %v", secret, err)
	}
	who, err := s.ledger.Authenticate(t.Context(), secret)
	if err != nil || who.Role != ledger.RoleRecorder || who.WindowID != s.window {
		t.Errorf("%+v, %v", who, err)
	}
	for i := range secret {
		b := []byte(secret)
		b[i] ^= 1
		_, err := s.ledger.Authenticate(t.Context(), string(b))
		s.wantCode("a changed secret", err, ledger.CodeUnauthenticated)
	}
	s.now = s.now.Add(time.Hour)
	_, err = s.ledger.Authenticate(t.Context(), secret)
	s.wantCode("an expired token", err, ledger.CodeUnauthenticated)
	secret, made, err = s.ledger.CreateToken(t.Context(), ledger.Token{Role: ledger.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.ledger.Authenticate(t.Context(), secret)
	s.wantCode("a revoked token", err, ledger.CodeUnauthenticated)
	for name, bad := range map[string]ledger.Token{"no role": {}, "a recorder of no window": {Role: ledger.RoleRecorder}, "a viewer of one window": {Role: ledger.RoleViewer, WindowID: s.window}} {
		_, _, err := s.ledger.CreateToken(t.Context(), bad)
		s.wantCode(name, err, ledger.CodeInvalid)
	}
}

// Each of two entries on one resource answers for what it owns.
func TestVerifyByWhatEachOwns(t *testing.T) {
	s := newStand(t)
	s.fact(update("/a", `{"a":1}`, `{"a":2}`))
	s.fact(update("/a", `{"b":1}`, `{"b":2}`))
	s.third.Set("/a", `{"a":99,"b":2}`)
	list, err := s.ledger.Verify(t.Context(), s.window)
	if err != nil || list[0].Verdict != ledger.CheckSame || list[1].Verdict != ledger.CheckDrifted {
		t.Errorf("%+v, %v", list, err)
	}
}

// A resolve after a partial rollback of other entries is acted on.
func TestResolveAfterAnotherSelection(t *testing.T) {
	s := newStand(t)
	e := s.fact(update("/a", `{"v":1}`, `{"v":2}`))
	s.fact(update("/b", `{"v":1}`, `{"v":2}`))
	s.third.Set("/a", `{"v":"x"}`)
	s.roll()
	if _, err := s.ledger.StartRollback(t.Context(), s.window, ledger.RollbackRequest{SelectRequest: ledger.SelectRequest{Only: []string{"2"}}}); err != nil {
		t.Fatal(err)
	}
	_, err := s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "r"})
	s.wantCode("while a rollback leaves it out", err, ledger.CodeConflict)
	s.finishLast()
	if _, err := s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideUndo, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	s.finishLast()
	if got, err := s.ledger.Entry(t.Context(), e.ID); err != nil || got.State != ledger.EntryUndone {
		t.Errorf("the entry is %s, %v", got.State, err)
	}
}

// An intent that is decided on an older state of its window is refused.
func TestRecordHonoursIfMatch(t *testing.T) {
	s := newStand(t)
	_, err := s.ledger.Record(ledger.WithExpected(t.Context(), 99), s.window, []ledger.Draft{update("/a", `{"v":1}`, `{"v":2}`)})
	s.wantCode("a stale If-Match", err, ledger.CodeStale)
}

// What cannot be compared at all is said when it is recorded, and blocked when it is to be undone.
func TestNothingToCompareIsBlocked(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"v":1}`, `{"v":2}`)
	d.Masked = []string{"/v"}
	if e := s.mustRecord(d); len(e.Warnings) == 0 {
		t.Error("no warning")
	}
	e := &ledger.Entry{Draft: d, State: ledger.EntryApplied, AppliedAt: s.now}
	seen := ledger.Look{Known: true, Now: doc(`{"v":2}`), Scope: ledger.Scope{Masked: []string{"/v"}}}
	if j := ledger.Judge(e, seen); j.Verdict != ledger.VerdictBlocked {
		t.Errorf("%+v", j)
	}
}

func TestCapturedFactsSayWhatIsUnknown(t *testing.T) {
	s := newStand(t)
	s.third.Set("/a", `{"v":2}`)
	d := update("/a", "", "")
	d.Capture, d.State = true, ledger.EntryApplied
	e := s.mustRecord(d)
	if string(e.After.JSON) != `{"v":2}` || len(e.Warnings) != 1 || !strings.HasPrefix(e.Warnings[0], "before is unknown") {
		t.Errorf("after %s, warnings %v", e.After.JSON, e.Warnings)
	}
	d.Before = doc(`{"v":1}`)
	if e := s.mustRecord(d); string(e.Before.JSON) != `{"v":1}` || len(e.Warnings) != 0 {
		t.Errorf("before %s, warnings %v", e.Before.JSON, e.Warnings)
	}
	d.Action, d.Before = ledger.ActionCreate, ledger.Image{}
	if e := s.mustRecord(d); !e.Before.IsAbsent() {
		t.Errorf("the before-image of a create is %s", e.Before.JSON)
	}
}
