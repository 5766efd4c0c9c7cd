package ledger

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	v1 = `{"v":1}`
	v2 = `{"v":2}`
	v3 = `{"v":3}`
)

var applied = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func entryWith(change func(*Entry)) *Entry {
	e := &Entry{State: EntryApplied, AppliedAt: applied}
	e.Action, e.Before, e.After = ActionUpdate, img(v1), img(v2)
	if change != nil {
		change(e)
	}
	return e
}

func create(e *Entry)   { e.Action, e.Before = ActionCreate, Absent }
func remove(e *Entry)   { e.Action, e.Before, e.After = ActionDelete, img(v1), Absent }
func intended(e *Entry) { e.State, e.AppliedAt = EntryIntended, time.Time{} }

func both(list ...func(*Entry)) func(*Entry) {
	return func(e *Entry) {
		for _, f := range list {
			f(e)
		}
	}
}

func attempted(a Attempt) func(*Entry) {
	return func(e *Entry) { a.N = 1; e.Attempts = append(e.Attempts, a) }
}

func TestJudge(t *testing.T) {
	run := uuid.Must(uuid.NewV7())
	seen := func(now string) Look { return Look{Known: true, Now: img(now)} }
	proven := Look{Known: true, Now: Absent, Proven: true}
	unproven := Look{Known: true, Now: Absent}
	blind := Look{}
	for name, c := range map[string]struct {
		change func(*Entry)
		look   Look
		want   Verdict
	}{
		"after":                               {nil, seen(v2), VerdictUndo},
		"before":                              {nil, seen(v1), VerdictAlreadyGone},
		"neither":                             {nil, seen(v3), VerdictDrifted},
		"updated, and gone":                   {nil, proven, VerdictDrifted},
		"created, there":                      {create, seen(v2), VerdictUndo},
		"created, gone with proof":            {create, proven, VerdictAlreadyGone},
		"created, 404 without proof":          {create, unproven, VerdictBlocked},
		"created, 404 after our own delete":   {both(create, func(e *Entry) { e.RollbackID = run }, attempted(Attempt{RollbackID: run, Seen: "sha256:x"})), unproven, VerdictAlreadyGone},
		"created, 404, another run saw it":    {both(create, func(e *Entry) { e.RollbackID = run }, attempted(Attempt{RollbackID: NewID(), Seen: "sha256:x"})), unproven, VerdictBlocked},
		"deleted, gone as reported":           {remove, unproven, VerdictUndo},
		"deleted, back":                       {remove, seen(v1), VerdictAlreadyGone},
		"deleted, another is there":           {remove, seen(v3), VerdictDrifted},
		"no look":                             {nil, blind, VerdictUndo},
		"no look, open attempt":               {attempted(Attempt{}), blind, VerdictInDoubt},
		"no look, manual":                     {func(e *Entry) { e.Reversible = ReversibleManual }, blind, VerdictManual},
		"no look, none":                       {func(e *Entry) { e.Reversible = ReversibleNone }, blind, VerdictIrreversible},
		"irreversible":                        {func(e *Entry) { e.Reversible = ReversibleNone }, seen(v2), VerdictIrreversible},
		"irreversible, back by itself":        {func(e *Entry) { e.Reversible = ReversibleNone }, seen(v1), VerdictAlreadyGone},
		"intent, before":                      {intended, seen(v1), VerdictVoid},
		"intent, after":                       {intended, seen(v2), VerdictUndo},
		"intent, neither":                     {intended, seen(v3), VerdictInDoubt},
		"intent, no look":                     {intended, blind, VerdictInDoubt},
		"intent to create, gone with proof":   {both(create, intended), proven, VerdictVoid},
		"intent to create, 404 without proof": {both(create, intended), unproven, VerdictInDoubt},
		"intent to delete, 404 without proof": {both(remove, intended), unproven, VerdictInDoubt},
		"intent to delete, gone with proof":   {both(remove, intended), proven, VerdictUndo},
		"after unknown":                       {func(e *Entry) { e.After = Image{} }, seen(v2), VerdictInDoubt},
		"after unknown, before":               {func(e *Entry) { e.After = Image{} }, seen(v1), VerdictAlreadyGone},
		"drifted, a person said undo":         {func(e *Entry) { e.Decision = &Decision{Kind: DecideUndo} }, seen(v3), VerdictUndo},
		"drifted further than the person saw": {func(e *Entry) { e.Decision = &Decision{Kind: DecideUndo, Seen: "sha256:other"} }, seen(v3), VerdictDrifted},
		"drifted, a person said retry":        {func(e *Entry) { e.Decision = &Decision{Kind: DecideRetry} }, seen(v3), VerdictDrifted},
		"no look, answered 500":               {attempted(Attempt{Result: "failed", EndedAt: applied}), blind, VerdictInDoubt},
		"no look, answered 429":               {attempted(Attempt{Result: "retry", EndedAt: applied}), blind, VerdictUndo},
		"no look, never sent":                 {attempted(Attempt{Result: "not_sent", EndedAt: applied}), blind, VerdictUndo},
		"unanswered undo that worked":         {both(func(e *Entry) { e.State, e.Reason = EntryStuck, ReasonInDoubt }, attempted(Attempt{Result: "ambiguous", EndedAt: applied})), seen(v1), VerdictAlreadyGone},
	} {
		if got := Judge(entryWith(c.change), c.look); got.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Verdict, got.Detail, c.want)
		}
	}
}

// What was sent and not answered is sent again only if that does no more than sending it once, or if a person has
// said so since.
func TestMayResend(t *testing.T) {
	ended := func(result string) Attempt { return Attempt{Result: result, EndedAt: applied} }
	decided := func(attempts int) func(*Entry) {
		return func(e *Entry) { e.Decision = &Decision{Kind: DecideRetry, Attempts: attempts} }
	}
	second := func(e *Entry) { e.Attempts = append(e.Attempts, Attempt{N: 2, Result: "not_sent", EndedAt: applied}) }
	for name, c := range map[string]struct {
		change     func(*Entry)
		repeatable bool
		want       bool
	}{
		"nothing was sent":                {nil, false, true},
		"unanswered":                      {attempted(ended("ambiguous")), false, false},
		"unanswered, repeatable":          {attempted(ended("ambiguous")), true, true},
		"open":                            {attempted(Attempt{}), false, false},
		"unanswered, whatever the reason": {both(func(e *Entry) { e.State, e.Reason = EntryStuck, ReasonDrifted }, attempted(ended("ambiguous"))), false, false},
		"answered":                        {attempted(ended("failed")), false, true},
		"never sent":                      {attempted(ended("not_sent")), false, true},
		"unanswered, then never sent":     {both(attempted(ended("ambiguous")), second), false, false},
		"a person said so since":          {both(attempted(ended("ambiguous")), decided(1)), false, true},
		"a person said so before":         {both(attempted(ended("ambiguous")), decided(0)), false, false},
	} {
		if got := entryWith(c.change).MayResend(c.repeatable); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestJudgeSaysWhatIsKnown: of an image that was never recorded nobody says that it is not shown.
func TestJudgeSaysWhatIsKnown(t *testing.T) {
	noAfter := func(e *Entry) { e.After = Image{} }
	noBefore := func(e *Entry) { e.Before = Image{} }
	for name, c := range map[string]struct {
		change func(*Entry)
		want   string
	}{
		"both":             {intended, "announced, not reported on, and the third party shows neither before nor after"},
		"create, no after": {both(create, intended, noAfter), "announced, not reported on, and the third party does not show the before-image; no after-image was recorded to know the effect by"},
		"no before":        {both(intended, noBefore), "announced, not reported on, and the third party does not show the after-image; no before-image was recorded"},
		"none":             {both(intended, noBefore, noAfter), "announced, not reported on, and no image was recorded to compare with"},
	} {
		got := Judge(entryWith(c.change), Look{Known: true, Now: img(v3)})
		if got.Verdict != VerdictInDoubt || got.Detail != c.want {
			t.Errorf("%s: %s, %s", name, got.Verdict, got.Detail)
		}
	}
	got := Settle(entryWith(noAfter), Sent{Answer: Answer{Class: AnswerFailed}, Seen: Look{Known: true, Now: img(v3)}})
	if want := "after the undo the third party does not show the before-image; no after-image was recorded to know the effect by"; got.Detail != want {
		t.Errorf("after an undo: %s", got.Detail)
	}
}

func TestJudgeState(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Entry)
		want   Verdict
		known  bool
	}{
		"applied":           {nil, "", false},
		"retained":          {func(e *Entry) { e.OnRollback = OnRollbackRetain }, VerdictRetained, true},
		"undone":            {func(e *Entry) { e.State = EntryUndone }, VerdictAlreadyGone, true},
		"void":              {func(e *Entry) { e.State = EntryVoid }, VerdictVoid, true},
		"waived":            {func(e *Entry) { e.State = EntryWaived }, VerdictWaived, true},
		"intent, in time":   {both(intended, func(e *Entry) { e.PerformBy = applied.Add(time.Second) }), VerdictInDoubt, true},
		"intent, at its by": {both(intended, func(e *Entry) { e.PerformBy = applied }), "", false},
	} {
		got, known := JudgeState(entryWith(c.change), applied)
		if got.Verdict != c.want || known != c.known {
			t.Errorf("%s: %s, known %v", name, got.Verdict, known)
		}
	}
}

func TestSettle(t *testing.T) {
	ambiguous := &CallError{Class: CallAmbiguous}
	seen := func(now string) Look { return Look{Known: true, Now: img(now)} }
	answer := func(c AnswerClass) Answer { return Answer{Class: c} }
	type want struct {
		outcome Outcome
		reason  Reason
		again   bool
	}
	for name, c := range map[string]struct {
		change func(*Entry)
		sent   Sent
		want   want
	}{
		"accepted and back":                {nil, Sent{Answer: answer(AnswerAccepted), Seen: seen(v1)}, want{outcome: OutcomeUndone}},
		"accepted, new id":                 {nil, Sent{Answer: Answer{Class: AnswerAccepted, Residue: []string{"new id"}}, Seen: seen(v1)}, want{outcome: OutcomeCompensated}},
		"accepted, unchanged, repeatable":  {nil, Sent{Answer: answer(AnswerAccepted), Seen: seen(v2), Repeatable: true, Attempts: 8}, want{again: true}},
		"accepted, unchanged, POST":        {nil, Sent{Answer: answer(AnswerAccepted), Seen: seen(v2), Attempts: 8}, want{reason: ReasonFailed}},
		"accepted, something else":         {nil, Sent{Answer: answer(AnswerAccepted), Seen: seen(v3)}, want{reason: ReasonDrifted}},
		"accepted, no look":                {nil, Sent{Answer: answer(AnswerAccepted)}, want{outcome: OutcomeUnverified}},
		"accepted, look failed":            {nil, Sent{Answer: answer(AnswerAccepted), LookErr: ambiguous, Attempts: 8}, want{again: true}},
		"accepted, 404 after we saw it":    {both(create, attempted(Attempt{Seen: "sha256:x"})), Sent{Answer: answer(AnswerAccepted), Seen: seen("null")}, want{outcome: OutcomeUndone}},
		"accepted, 404 never seen":         {create, Sent{Answer: answer(AnswerAccepted), Seen: seen("null")}, want{reason: ReasonBlocked}},
		"unanswered and back":              {nil, Sent{Err: ambiguous, Seen: seen(v1)}, want{outcome: OutcomeUndone}},
		"unanswered, unchanged, PUT":       {nil, Sent{Err: ambiguous, Seen: seen(v2), Repeatable: true, Attempts: 8}, want{again: true}},
		"unanswered, unchanged, POST":      {nil, Sent{Err: ambiguous, Seen: seen(v2), Attempts: 8}, want{reason: ReasonInDoubt}},
		"unanswered, no look":              {nil, Sent{Err: ambiguous}, want{reason: ReasonInDoubt}},
		"unanswered, look failed":          {nil, Sent{Err: ambiguous, LookErr: ambiguous}, want{again: true}},
		"foreign error":                    {nil, Sent{Err: ErrFenced, Seen: seen(v2)}, want{reason: ReasonInDoubt}},
		"not sent":                         {nil, Sent{Err: &CallError{Class: CallNotSent}}, want{again: true}},
		"breaker open":                     {nil, Sent{Err: &CallError{Class: CallAway, RetryAfter: time.Second}}, want{again: true}},
		"refused credential":               {nil, Sent{Err: &CallError{Class: CallAuth}}, want{reason: ReasonBlocked}},
		"denied address":                   {nil, Sent{Err: &CallError{Class: CallDenied}}, want{reason: ReasonBlocked}},
		"slow down":                        {nil, Sent{Answer: answer(AnswerRetry), Seen: seen(v2), Attempts: 8}, want{again: true}},
		"slow down, no look":               {nil, Sent{Answer: answer(AnswerRetry), Attempts: 8}, want{again: true}},
		"slow down for ever, no look":      {nil, Sent{Answer: answer(AnswerRetry), Attempts: 1}, want{reason: ReasonFailed}},
		"broke, PUT":                       {nil, Sent{Answer: answer(AnswerFailed), Seen: seen(v2), Repeatable: true, Attempts: 8}, want{again: true}},
		"broke, but it worked":             {nil, Sent{Answer: answer(AnswerFailed), Seen: seen(v1)}, want{outcome: OutcomeUndone}},
		"broke, no look":                   {nil, Sent{Answer: answer(AnswerFailed)}, want{reason: ReasonInDoubt}},
		"attempts used up":                 {nil, Sent{Answer: answer(AnswerFailed), Seen: seen(v2), Repeatable: true, Attempts: 1}, want{reason: ReasonFailed}},
		"refused":                          {nil, Sent{Answer: answer(AnswerRefused), Seen: seen(v2), Attempts: 8}, want{reason: ReasonFailed}},
		"refused, but it is back":          {nil, Sent{Answer: answer(AnswerRefused), Seen: seen(v1)}, want{outcome: OutcomeAlreadyUndone}},
		"refused, no look":                 {nil, Sent{Answer: answer(AnswerRefused)}, want{reason: ReasonFailed}},
		"false conflict":                   {nil, Sent{Answer: answer(AnswerConflict), Seen: seen(v2), Attempts: 8}, want{again: true}},
		"conflict, undone by somebody":     {nil, Sent{Answer: answer(AnswerConflict), Seen: seen(v1)}, want{outcome: OutcomeAlreadyUndone}},
		"conflict, changed by somebody":    {nil, Sent{Answer: answer(AnswerConflict), Seen: seen(v3)}, want{reason: ReasonDrifted}},
		"gone, no look":                    {nil, Sent{Answer: answer(AnswerGone)}, want{reason: ReasonInDoubt}},
		"a person's step":                  {nil, Sent{Answer: answer(AnswerManual)}, want{reason: ReasonManual}},
		"before unknown, accepted":         {func(e *Entry) { e.Before = Image{} }, Sent{Answer: answer(AnswerAccepted), Seen: seen(v3)}, want{outcome: OutcomeUnverified}},
		"overridden drift, broke, resend":  {func(e *Entry) { e.Decision = &Decision{Kind: DecideUndo} }, Sent{Answer: answer(AnswerFailed), Seen: seen(v3), Repeatable: true, Attempts: 8}, want{again: true}},
		"overridden drift, accepted, kept": {func(e *Entry) { e.Decision = &Decision{Kind: DecideUndo} }, Sent{Answer: answer(AnswerAccepted), Seen: seen(v3), Repeatable: true, Attempts: 8}, want{reason: ReasonDrifted}},
	} {
		s := Settle(entryWith(c.change), c.sent)
		if got := (want{s.Outcome, s.Reason, s.Again}); got != c.want {
			t.Errorf("%s: %+v (%s), want %+v", name, got, s.Detail, c.want)
		}
		if held := (s.Outcome != "") != (s.Reason == "" && !s.Again); held {
			t.Errorf("%s: more or less than one of outcome, reason and again", name)
		}
	}
}

func TestBreakerBurnsNoAttempts(t *testing.T) {
	for _, class := range []CallClass{CallNotSent, CallAway, CallAmbiguous} {
		if Settle(entryWith(nil), Sent{Err: &CallError{Class: class}, Seen: Look{Known: true, Now: img(v2)}, Repeatable: true, Attempts: 8}).Burnt {
			t.Errorf("%s burnt an attempt", class)
		}
	}
	if !Settle(entryWith(nil), Sent{Answer: Answer{Class: AnswerFailed}, Seen: Look{Known: true, Now: img(v2)}, Repeatable: true, Attempts: 8}).Burnt {
		t.Error("an answer burnt no attempt")
	}
}
