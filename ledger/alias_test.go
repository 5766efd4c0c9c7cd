package ledger

import (
	"encoding/json"
	"testing"
	"time"
)

func TestLostAndBetween(t *testing.T) {
	doc := func(s string) Image { return Image{JSON: json.RawMessage(s)} }
	entry := func(attempts ...Attempt) *Entry {
		return &Entry{
			Draft: Draft{Action: ActionUpdate, Before: doc(`{"v":1}`), After: doc(`{"v":3}`), Reversible: ReversibleExact},
			State: EntryApplied, AppliedAt: time.Now(), Attempts: attempts,
		}
	}
	tried := Attempt{N: 1, EndedAt: time.Now(), Result: string(CallAmbiguous)}
	for name, c := range map[string]struct {
		e    *Entry
		seen Look
		want Verdict
	}{
		"lost":                     {entry(), Look{Known: true, Now: doc(`{"v":3}`), Lost: "over"}, VerdictIrreversible},
		"lost, but back":           {entry(), Look{Known: true, Now: doc(`{"v":1}`), Lost: "over"}, VerdictAlreadyGone},
		"between, after our undo":  {entry(tried), Look{Known: true, Now: doc(`{"v":2}`), Between: true}, VerdictUndo},
		"between, without an undo": {entry(), Look{Known: true, Now: doc(`{"v":2}`), Between: true}, VerdictDrifted},
		"drifted after our undo":   {entry(tried), Look{Known: true, Now: doc(`{"v":2}`)}, VerdictDrifted},
	} {
		if got := Judge(c.e, c.seen); got.Verdict != c.want || got.Verdict == VerdictIrreversible && got.Detail != "over" {
			t.Errorf("%s: %s (%s), want %s", name, got.Verdict, got.Detail, c.want)
		}
	}
	half := Sent{Err: &CallError{Class: CallAmbiguous}, Repeatable: true, Attempts: 3, Seen: Look{Known: true, Now: doc(`{"v":2}`), Between: true}}
	if s := Settle(entry(tried), half); !s.Again {
		t.Errorf("half way: %+v", s)
	}
	half.Seen.Between = false
	if s := Settle(entry(tried), half); s.Reason != ReasonDrifted {
		t.Errorf("drifted: %+v", s)
	}
}

func TestTheLatestAliasHolds(t *testing.T) {
	at := func(sec int) time.Time { return time.Unix(int64(sec), 0) }
	alias := func(sec int) *Alias { return &Alias{At: at(sec)} }
	for _, c := range []struct {
		have *Alias
		seq  int
		o    Entry
		want bool
	}{
		{nil, 1, Entry{Seq: 2, Alias: alias(1)}, true},
		{alias(1), 1, Entry{Seq: 2, Alias: alias(2)}, true},
		{alias(2), 1, Entry{Seq: 2, Alias: alias(1)}, false},
		{alias(1), 3, Entry{Seq: 2, Alias: alias(1)}, true}, // closed together: the older one came later
		{alias(1), 2, Entry{Seq: 3, Alias: alias(1)}, false},
	} {
		if got := c.have.later(c.seq, &c.o); got != c.want {
			t.Errorf("%+v over %+v at %d: %v", c.o.Alias, c.have, c.seq, got)
		}
	}
}
