package ledger

import (
	"slices"
	"testing"

	"github.com/google/uuid"
)

// What goes before the restore: what is marked, and what is newer and depends on it, directly or through others that are open.
func TestEarly(t *testing.T) {
	a, b := ResourceKey("s", []byte(`{"id":"a"}`)), ResourceKey("s", []byte(`{"id":"b"}`))
	type row struct {
		marked, restore bool
		state           EntryState
		retain          bool
		key             Key
		depends         []int // numbers
	}
	open := EntryApplied
	for name, c := range map[string]struct {
		rows []row
		want []int
	}{
		"nothing is marked":                    {[]row{{state: open, key: a}, {state: open, key: a, depends: []int{1}}}, nil},
		"marked alone":                         {[]row{{state: open}, {state: open, marked: true}, {state: open}}, []int{2}},
		"no resource matches nothing":          {[]row{{state: open, marked: true}, {state: open}}, []int{1}},
		"newer on its resource":                {[]row{{state: open, key: a}, {state: open, marked: true, key: a}, {state: open, key: b}, {state: open, key: a}}, []int{2, 4}},
		"newer by name":                        {[]row{{state: open, marked: true}, {state: open}, {state: open, depends: []int{1}}}, []int{1, 3}},
		"through another":                      {[]row{{state: open, marked: true, key: a}, {state: open, key: b, depends: []int{1}}, {state: open, key: b}, {state: open, depends: []int{3}}}, []int{1, 2, 3, 4}},
		"what a marked one depends on is rest": {[]row{{state: open, key: a}, {state: open, marked: true, depends: []int{1}}}, []int{2}},
		"closed ones bind nobody":              {[]row{{state: EntryUndone, marked: true, key: a}, {state: open, key: a}, {state: EntryVoid, marked: true}, {state: EntryWaived, marked: true}}, nil},
		"a closed link":                        {[]row{{state: open, marked: true}, {state: EntryUndone, key: b, depends: []int{1}}, {state: open, key: b}}, []int{1}},
		"retained":                             {[]row{{state: open, marked: true, key: a}, {state: open, retain: true, key: a}, {state: open, key: a}}, []int{1, 3}},
		"stuck, intended and undoing are open": {[]row{{state: EntryStuck, marked: true}, {state: EntryIntended, marked: true}, {state: EntryUndoing, marked: true}}, []int{1, 2, 3}},
		"a late one on the restore's resource": {[]row{{state: open, key: a}, {state: open, restore: true, key: a}, {state: open, key: a}, {state: open, depends: []int{2}}}, []int{3, 4}},
	} {
		var got Early
		ids := make([]uuid.UUID, len(c.rows))
		for i, r := range c.rows {
			ids[i] = NewID()
			e := &Entry{Seq: i + 1, State: r.state, ResourceKey: r.key}
			e.ID, e.BeforeRestore, e.Restore = ids[i], r.marked, r.restore
			if r.retain {
				e.OnRollback = OnRollbackRetain
			}
			for _, n := range r.depends {
				e.DependsOn = append(e.DependsOn, ids[n-1])
			}
			got.Add(e)
		}
		if !slices.Equal(got.Seqs, c.want) {
			t.Errorf("%s: %v, want %v", name, got.Seqs, c.want)
		}
	}
}

// What a look at the restore means, and what an attempt brought.
func TestJudgeRestore(t *testing.T) {
	unknownAfter := func(e *Entry) { e.Restore, e.After = true, Image{} }
	expected := func(e *Entry) { e.Restore = true }
	begun := attempted(Attempt{Result: string(CallAmbiguous)})
	refused := attempted(Attempt{Result: string(AnswerRefused)})
	seen := func(now string) Look { return Look{Known: true, Now: img(now)} }
	for name, c := range map[string]struct {
		change func(*Entry)
		look   Look
		want   Verdict
	}{
		"the snapshot is live":                    {unknownAfter, seen(v1), VerdictAlreadyGone},
		"anything else is restored over":          {unknownAfter, seen(v3), VerdictUndo},
		"a machine that is not there, too":        {unknownAfter, Look{Known: true, Now: Absent}, VerdictUndo},
		"the upgrade is live":                     {expected, seen(v2), VerdictUndo},
		"neither is drift where after is known":   {expected, seen(v3), VerdictDrifted},
		"half done by us is no drift":             {both(expected, begun), seen(v3), VerdictUndo},
		"refused before anything was done, drift": {both(expected, refused), seen(v3), VerdictDrifted},
		"a step for a person stays one":           {both(unknownAfter, func(e *Entry) { e.Reversible = ReversibleManual }), seen(v3), VerdictManual},
	} {
		if j := Judge(entryWith(c.change), c.look); j.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, j.Verdict, j.Detail, c.want)
		}
	}
	for name, c := range map[string]struct {
		sent    Sent
		outcome Outcome
		reason  Reason
	}{
		"done and read back":            {Sent{Answer: Answer{Class: AnswerAccepted}, Seen: seen(v1)}, OutcomeUndone, ""},
		"done, and something else":      {Sent{Answer: Answer{Class: AnswerAccepted}, Seen: seen(v3), Repeatable: true, Attempts: 4}, "", ReasonFailed},
		"says there is nothing to do":   {Sent{Answer: Answer{Class: AnswerGone}, Seen: seen(v3), Repeatable: true, Attempts: 4}, "", ReasonFailed},
		"broke off, may be repeated":    {Sent{Err: &CallError{Class: CallAmbiguous}, Seen: seen(v3), Repeatable: true, Attempts: 4}, "", ""},
		"broke off, may not":            {Sent{Err: &CallError{Class: CallAmbiguous}, Seen: seen(v3), Attempts: 4}, "", ReasonInDoubt},
		"failed, may not be repeated":   {Sent{Answer: Answer{Class: AnswerFailed}, Seen: seen(v3), Attempts: 4}, "", ReasonInDoubt},
		"failed, may be repeated":       {Sent{Answer: Answer{Class: AnswerFailed}, Seen: seen(v3), Repeatable: true, Attempts: 4}, "", ""},
		"later, it says":                {Sent{Answer: Answer{Class: AnswerRetry}, Seen: seen(v3), Attempts: 4}, "", ""},
		"refused":                       {Sent{Answer: Answer{Class: AnswerRefused, Detail: "no"}, Seen: seen(v3), Attempts: 4}, "", ReasonFailed},
		"the look afterwards is needed": {Sent{Answer: Answer{Class: AnswerAccepted}, LookErr: &CallError{Class: CallAway}}, "", ""},
	} {
		s := Settle(entryWith(both(unknownAfter, attempted(Attempt{}))), c.sent)
		if s.Outcome != c.outcome || s.Reason != c.reason || (c.outcome == "" && c.reason == "") != s.Again {
			t.Errorf("%s: outcome %q, reason %q, again %v (%s)", name, s.Outcome, s.Reason, s.Again, s.Detail)
		}
	}
}
