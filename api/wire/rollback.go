package wire

import (
	"encoding/json"
	"errors"
	"time"
)

// A RollbackRequest is the body of POST /v1/windows/{id}/rollbacks. All of it may be left out.
// Only and Exclude take an entry's id or number, system=NAME, kind=NAME or tag=NAME.
type RollbackRequest struct {
	Reason   string   `json:"reason,omitzero"`
	Plan     string   `json:"plan,omitzero"` // fingerprint; 412 if the window has moved since
	Only     []string `json:"only,omitzero"`
	Exclude  []string `json:"exclude,omitzero"`
	ToEntry  EntryRef `json:"to_entry,omitzero"` // that entry stays
	ToTag    string   `json:"to_tag,omitzero"`
	OnStuck  string   `json:"on_stuck,omitzero"` // continue (default), system, halt
	Parallel int      `json:"parallel,omitzero"` // at how many systems at once, at most 64; 0: 1
	// RestoreSnapshot restores the window's snapshot in the same run: after what is marked before_restore, before the rest.
	RestoreSnapshot bool `json:"restore_snapshot,omitzero"`
}

// An EntryRef names an entry of a window by id or by number. It may stand in JSON as a number or as a
// string, and is written as a string.
type EntryRef string

// UnmarshalJSON reads a JSON string, or a number by its literal.
func (r *EntryRef) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*r = EntryRef(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil || n == "" {
		return errors.New("want an entry's id or number")
	}
	*r = EntryRef(n.String())
	return nil
}

// A Rollback is one run over a window, as answered.
type Rollback struct {
	ID          string       `json:"id"`
	WindowID    string       `json:"window_id"`
	State       string       `json:"state"`    // queued, running, waiting, paused, finished, cancelled
	Waiting     *Waiting     `json:"waiting"`  // null unless waiting
	Complete    bool         `json:"complete"` // finished, and nothing that it selected is open now
	Partial     bool         `json:"partial"`  // it covers a part of its window only
	Counts      Counts       `json:"counts"`
	Only        []string     `json:"only"`
	Exclude     []string     `json:"exclude"`
	ToEntry     int          `json:"to_entry"` // number of the entry that stays; 0: none
	OnStuck     string       `json:"on_stuck"`
	Parallel    int          `json:"parallel"` // at how many systems at once it may undo
	RequestedBy string       `json:"requested_by"`
	Reason      string       `json:"reason"`
	CreatedAt   time.Time    `json:"created_at"`
	StartedAt   *time.Time   `json:"started_at"`   // null: no runner has claimed it yet
	FinishedAt  *time.Time   `json:"finished_at"`  // null: not over
	SecondWords []SecondWord `json:"second_words"` // that it asked for before it went on at a system
	// Held is what a finished run left alone and why; at most 100, and only in GET /v1/rollbacks/{id}.
	Held []Held `json:"held"`
	// RestoreSnapshot: it was asked to restore the window's snapshot.
	RestoreSnapshot bool `json:"restore_snapshot"`
	// TraceID is of the call that started it, 32 hex digits; empty: it named none.
	TraceID string `json:"trace_id"`
}

// A Held is an entry that has to wait for a newer one, which is open.
type Held struct {
	EntryID  string `json:"entry_id"`
	Seq      int    `json:"seq"`
	By       int    `json:"by"`       // number of the newer one
	Selected bool   `json:"selected"` // the run selected that too
}

// A SecondWord is an operator's word that a run asks for: it would delete more, or more of what a system holds,
// than the system's guard allows.
type SecondWord struct {
	System  string     `json:"system"`
	Detail  string     `json:"detail"` // what was about to happen
	AskedAt time.Time  `json:"asked_at"`
	By      string     `json:"by"`       // id of the token that gave it; empty: not given yet
	Reason  string     `json:"reason"`   // of who gave it
	GivenAt *time.Time `json:"given_at"` // null: not given yet
}

// A ConfirmRequest is the body of POST /v1/rollbacks/{id}/confirm.
type ConfirmRequest struct {
	System string `json:"system,omitzero"` // empty: every system that the run asked about
	Reason string `json:"reason"`
}

// Over reports whether the run has ended.
func (r *Rollback) Over() bool { return r.State == "finished" || r.State == "cancelled" }

// Left returns how many entries that the run selected are open now.
func (r *Rollback) Left() int { return r.Counts.Stuck + r.Counts.Remaining }

// Waiting says why a run does nothing right now.
type Waiting struct {
	Why   string     `json:"why"`   // perform_by, second_word, answer, other_window, system_away, retry
	Until *time.Time `json:"until"` // when it looks again; null: when told
	On    string     `json:"on"`    // entry id, name of a system, or id of the other window
}
