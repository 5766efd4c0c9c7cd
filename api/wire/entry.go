package wire

import (
	"encoding/json"
	"time"
)

// An EntryDraft is one side effect as a script posts it: the body of POST /v1/windows/{id}/entries.
// System, Kind and Action are required.
type EntryDraft struct {
	ID            string          `json:"id,omitzero"` // the caller's own UUIDv7; empty: the server makes one
	System        string          `json:"system"`
	Kind          string          `json:"kind"`
	Action        string          `json:"action"`            // create, update, delete
	Resource      json.RawMessage `json:"resource,omitzero"` // an object
	Before        json.RawMessage `json:"before,omitzero"`   // nil: not known; null: the resource was not there
	After         json.RawMessage `json:"after,omitzero"`    // likewise
	Undo          json.RawMessage `json:"undo,omitzero"`
	Read          json.RawMessage `json:"read,omitzero"`
	Guard         json.RawMessage `json:"guard,omitzero"`
	Async         json.RawMessage `json:"async,omitzero"`
	Verify        json.RawMessage `json:"verify,omitzero"`
	Capture       bool            `json:"capture,omitzero"`        // the server takes the images itself
	State         string          `json:"state,omitzero"`          // intended (default), applied
	PerformWithin string          `json:"perform_within,omitzero"` // duration; empty: 60s
	OnRollback    string          `json:"on_rollback,omitzero"`    // undo (default), retain
	DependsOn     []string        `json:"depends_on,omitzero"`     // entry ids
	Owned         []string        `json:"owned,omitzero"`          // JSON pointers, as the three below
	Masked        []string        `json:"masked,omitzero"`
	Volatile      []string        `json:"volatile,omitzero"`
	Unordered     []string        `json:"unordered,omitzero"`
	Secret        []string        `json:"secret,omitzero"`     // kept as ciphertext; see docs/operations.md
	Reversible    string          `json:"reversible,omitzero"` // empty: as the remediator grades it
	Tag           string          `json:"tag,omitzero"`
	Note          string          `json:"note,omitzero"`
	Source        string          `json:"source,omitzero"` // "upgrade.sh:212"
	BeforeRestore bool            `json:"before_restore,omitzero"`
}

// An EntryBatch is the body of POST /v1/windows/{id}/entries/batch: all or none, in order.
type EntryBatch struct {
	Entries []EntryDraft `json:"entries"` // 1 to 1,000
}

// An Entry is an entry as answered: what was posted, and what became of it.
type Entry struct {
	ID            string          `json:"id"`
	WindowID      string          `json:"window_id"`
	Seq           int             `json:"seq"` // place in the window, from 1, without gaps
	System        string          `json:"system"`
	Kind          string          `json:"kind"`
	Action        string          `json:"action"`
	Resource      json.RawMessage `json:"resource"` // null: not known yet
	Before        json.RawMessage `json:"before,omitzero"`
	After         json.RawMessage `json:"after,omitzero"`
	Undo          json.RawMessage `json:"undo"` // null: none; so are the four below
	Read          json.RawMessage `json:"read"`
	Guard         json.RawMessage `json:"guard"`
	Async         json.RawMessage `json:"async"`
	Verify        json.RawMessage `json:"verify"`
	Capture       bool            `json:"capture"`
	State         string          `json:"state"`  // intended, applied, void, undoing, undone, stuck, waived
	Reason        string          `json:"reason"` // why it is stuck; empty otherwise
	Detail        string          `json:"detail"` // one sentence for a person about the last move
	Outcome       string          `json:"outcome"`
	Alias         *Alias          `json:"alias"` // the name that the effect or the undo gave the resource; null: it kept its name
	PerformWithin string          `json:"perform_within"`
	PerformBy     *time.Time      `json:"perform_by"` // null: it was posted as applied
	OnRollback    string          `json:"on_rollback"`
	DependsOn     []string        `json:"depends_on"`
	Owned         []string        `json:"owned"`
	Masked        []string        `json:"masked"`
	Volatile      []string        `json:"volatile"`
	Unordered     []string        `json:"unordered"`
	Secret        []string        `json:"secret"`
	Reversible    string          `json:"reversible"`
	Tag           string          `json:"tag"`
	Note          string          `json:"note"`
	Source        string          `json:"source"`
	BeforeRestore bool            `json:"before_restore"` // taken back before the restore of the snapshot
	Restore       bool            `json:"restore"`        // it is the restore of the window's snapshot
	Late          bool            `json:"late"`           // a fact that arrived once a rollback had begun or was over
	Warnings      []string        `json:"warnings"`
	Attempts      []Attempt       `json:"attempts"`
	RecordedBy    string          `json:"recorded_by"` // token id
	TraceID       string          `json:"trace_id"`    // of the call that recorded it, 32 hex digits; empty: it named none
	RollbackID    *string         `json:"rollback_id"` // the last run that claimed it; null: none
	RecordedAt    time.Time       `json:"recorded_at"`
	AppliedAt     *time.Time      `json:"applied_at"` // null: not reported as applied
	UndoneAt      *time.Time      `json:"undone_at"`  // null: not undone
	Journal       Head            `json:"journal"`    // the record that last touched it

	// The rest is left out unless the entry is stuck.
	NowDigest string          `json:"now_digest,omitzero"` // of what was seen; post it as seen with undo
	Now       json.RawMessage `json:"now,omitzero"`        // what was seen; null: the resource was not there
	Next      string          `json:"next,omitzero"`       // the command to type
	Decision  *Decision       `json:"decision,omitzero"`   // a word that the next run acts on
}

// An Alias is the name that a resource got after its entry was written. Of several on one resource the latest holds.
type Alias struct {
	Resource json.RawMessage `json:"resource"` // the members of the resource that have other values now: {"id": "…"}
	At       time.Time       `json:"at"`       // when the ledger learned of it
}

// An Attempt is one call of a remediator for one entry.
type Attempt struct {
	N          int        `json:"n"` // from 1
	RollbackID string     `json:"rollback_id"`
	Seen       string     `json:"seen"`    // digest of the look before it; absent: the resource was not there; empty: no look
	Request    string     `json:"request"` // method and path
	StartedAt  time.Time  `json:"started_at"`
	EndedAt    *time.Time `json:"ended_at"` // null: nobody knows yet whether it was sent
	Result     string     `json:"result"`
	Status     int        `json:"status"` // HTTP status; 0: none
	Detail     string     `json:"detail"`
}

// A Decision is a person's word on a stuck entry.
type Decision struct {
	Decision string    `json:"decision"` // retry, undo, waive, done
	Reason   string    `json:"reason"`
	Seen     string    `json:"seen"`
	Evidence string    `json:"evidence"`
	By       string    `json:"by"` // token id
	At       time.Time `json:"at"`
}

// An EntryList is one page of entries, or the entries of a batch in their order (then without cursor).
type EntryList struct {
	Items      []Entry `json:"items"`
	NextCursor string  `json:"next_cursor"` // empty: there are no more
}

// An AppliedRequest is the body of POST /v1/entries/{id}/applied.
type AppliedRequest struct {
	After    json.RawMessage `json:"after,omitzero"`    // nil: not said; null: the resource is gone
	Resource json.RawMessage `json:"resource,omitzero"` // nil: as posted
}

// A ResolveRequest is the body of POST /v1/entries/{id}/resolve.
type ResolveRequest struct {
	Decision string `json:"decision"` // retry, undo, waive, done
	Reason   string `json:"reason"`
	Seen     string `json:"seen,omitzero"`     // with undo: the digest that was shown; 412 if it moved
	Evidence string `json:"evidence,omitzero"` // with done: where it can be seen
}
