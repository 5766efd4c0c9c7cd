package wire

import "time"

// A Record is what followers read from the data of an [Event]: the members of a journal record that
// every reader of the stream may rely on. The record has more.
type Record struct {
	Number     int64           `json:"number"`
	At         time.Time       `json:"at"`
	Kind       string          `json:"kind"`
	EntryID    string          `json:"entry_id"`    // empty: not about one entry
	RollbackID string          `json:"rollback_id"` // empty: not about one run
	Note       string          `json:"note"`
	Entry      *RecordEntry    `json:"entry"`    // nil: not about one entry
	Rollback   *RecordRollback `json:"rollback"` // nil: not about the run itself
	Window     *RecordWindow   `json:"window"`   // nil: not about the window itself
}

// A RecordEntry is an entry as a journal record has it.
type RecordEntry struct {
	Seq      int       `json:"seq"`
	System   string    `json:"system"`
	Kind     string    `json:"kind"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Outcome  string    `json:"outcome"`
	Alias    *Alias    `json:"alias"` // as in [Entry]
	Late     bool      `json:"late"`
	Decision *struct{} `json:"decision"` // nil: no word waits to be acted on
}

// A RecordRollback is a run as a journal record has it.
type RecordRollback struct {
	State    string   `json:"state"`
	Waiting  *Waiting `json:"waiting"`
	Complete bool     `json:"complete"`
}

// A RecordWindow is a window as a journal record has it.
type RecordWindow struct {
	State string `json:"state"`
}

// A SavedPlan is a plan in a file, with what was selected when it was made: `rollback --plan FILE` runs
// exactly this one.
type SavedPlan struct {
	Plan
	Selection SavedSelection `json:"selection"`
}

// A SavedSelection is what a saved plan covers. The zero value is the whole window.
type SavedSelection struct {
	Only    []string `json:"only,omitzero"`
	Exclude []string `json:"exclude,omitzero"`
	ToEntry string   `json:"to_entry,omitzero"`
	ToTag   string   `json:"to_tag,omitzero"`
	// RestoreSnapshot: the plan restores the window's snapshot.
	RestoreSnapshot bool `json:"restore_snapshot,omitzero"`
}

// A JournalReport is what an offline verification of a journal file found.
type JournalReport struct {
	OK       bool   `json:"ok"`
	WindowID string `json:"window_id"` // empty: the file has no head line
	Begins   int64  `json:"begins"`    // number of the first record; more than 1: retention removed the earlier ones
	Records  int64  `json:"records"`   // number of the last record up to which all follow from each other
	Head     string `json:"head"`      // hash of the last good record, 64 hex digits
	FirstBad int64  `json:"first_bad"` // from 1; 0: none
	Problem  string `json:"problem"`   // empty when OK
}

// A RollbackReport is a run as answered, with the entries that are stuck in it and, once it is over, those that came
// back with a new name or secret, so that somebody has to be told: what `rollback` prints.
type RollbackReport struct {
	Rollback
	Stuck       []Entry `json:"stuck"`
	Compensated []Entry `json:"compensated"`
}

// A WindowReport is a window as answered, with its last run and what is stuck: what `rollback status`
// prints.
type WindowReport struct {
	Window
	Rollback *Rollback `json:"rollback"` // null: none yet
	Stuck    []Entry   `json:"stuck"`
}
