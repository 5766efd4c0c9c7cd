package wire

import "time"

// A WindowDraft is the body of POST /v1/windows. Only Name is required.
type WindowDraft struct {
	Name     string            `json:"name"`
	Ticket   string            `json:"ticket,omitzero"`
	Owner    string            `json:"owner,omitzero"`
	OpensAt  *time.Time        `json:"opens_at,omitzero"` // nil: now
	EndsAt   *time.Time        `json:"ends_at,omitzero"`  // nil: not planned
	Buffer   string            `json:"buffer,omitzero"`   // duration kept free at the end for turning back
	Snapshot string            `json:"snapshot,omitzero"` // reference to the snapshot taken before the window
	Labels   map[string]string `json:"labels,omitzero"`
	Restore  *Restore          `json:"restore,omitzero"` // nil: no rollback restores the snapshot
}

// A Window is a window as answered: what was posted, and what became of it.
type Window struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Ticket     string            `json:"ticket"`
	Owner      string            `json:"owner"`
	OpensAt    *time.Time        `json:"opens_at"` // null: it was open at once
	EndsAt     *time.Time        `json:"ends_at"`  // null: not planned
	Buffer     string            `json:"buffer"`   // empty: none
	Snapshot   string            `json:"snapshot"`
	Labels     map[string]string `json:"labels"`
	Restore    *Restore          `json:"restore"` // null: none was named
	State      string            `json:"state"`   // open, sealed, kept, rolling_back, rolled_back, stuck
	Counts     Counts            `json:"counts"`
	RollbackID *string           `json:"rollback_id"` // the running or the last rollback; null: none yet
	Head       Head              `json:"head"`
	CreatedAt  time.Time         `json:"created_at"`
	SealedAt   *time.Time        `json:"sealed_at"` // null: never sealed
	Pruned     *Pruned           `json:"pruned"`    // null: retention removed nothing of it
	// Warnings are said in the answer to the opening alone: credentials that are refused, or end before the window does.
	Warnings []string `json:"warnings,omitzero"`
}

// Pruned says what retention removed of a window. Counts of the window go on to count it.
type Pruned struct {
	At      time.Time `json:"at"`
	Entries int       `json:"entries"` // entries with a seq up to this one
	Begins  int64     `json:"begins"`  // number of the record that the journal begins with now
}

// A WindowList is one page of windows, newest first.
type WindowList struct {
	Items      []Window `json:"items"`
	NextCursor string   `json:"next_cursor"` // empty: there are no more
}

// A ReasonRequest is the body of calls that take a person's reason and nothing else. Void requires it.
type ReasonRequest struct {
	Reason string `json:"reason,omitzero"`
}

// A Head names the newest record of a window's journal.
type Head struct {
	Number int64  `json:"number"` // from 1; 0: no record yet
	Hash   string `json:"hash"`   // 64 hex digits
}

// Counts are entries by what became of them.
type Counts struct {
	Undone        int `json:"undone"`
	AlreadyUndone int `json:"already_undone"`
	Compensated   int `json:"compensated"`
	Unverified    int `json:"unverified"`
	ByHand        int `json:"by_hand"`
	Waived        int `json:"waived"`
	Retained      int `json:"retained"`
	Void          int `json:"void"`
	Stuck         int `json:"stuck"`
	Remaining     int `json:"remaining"` // not closed and not stuck
}
