package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// A Store keeps the ledger durably. Implementations are safe for concurrent use and pass
// ledgertest.TestStore.
type Store interface {
	Writer
	Reader
	Tokens
	Replies
	Retention
	Measurer
}

// A Writer changes one window at a time, under its fence.
type Writer interface {
	// Open inserts the row of a new window (its Head and LastSeq are zero) and goes on as Update does.
	Open(ctx context.Context, w Window, fn func(Tx) error) error
	// Update locks the window's fence row, runs fn, writes the fence row back and commits. What fn did
	// is durable when Update returns nil; nothing of it is there when Update returns fn's error.
	// fn may be run more than once (each time on a fresh Tx) and must have no effect but through its Tx.
	// Other updates may share the transaction (group commit); a failing one never harms another.
	//
	// Codes: not_found (no such window), unavailable (the commit's outcome is not known, or the queue is
	// full: RetryAfter is set), full (no space left for what ctx says it is for, see [Use]; nothing was
	// written), and whatever fn returns.
	Update(ctx context.Context, windowID uuid.UUID, fn func(Tx) error) error
}

// A Tx is one unit of work under a window's fence. It is valid until its function returns and is used
// by one goroutine.
type Tx interface {
	FenceTx
	EntryTx
	RivalTx
	RollbackTx
	ReplyTx
}

// A FenceTx reads and changes the window itself.
type FenceTx interface {
	// Window returns the locked fence row. Changes to State, Resume, RollbackID, LastSeq and SealedAt
	// are written back when the function returns nil; Head moves through Append alone.
	Window() *Window
	// Append chains a record to the window's journal and returns the new head. r.Number must be
	// Window().Head.Number+1 and stand in r.Body, whose bytes are stored and hashed as they are.
	Append(r journal.Record) (Head, error)
	// Touched returns the ids of the entries that the journal's records with Number > after are about, each once
	// and in the order of the records. It reads at most limit records; more says that there are others.
	Touched(after int64, limit int) (ids []uuid.UUID, more bool, err error)
	// Count counts the window's entries that sel picks.
	Count(sel Selection) (Counts, error)
	// SavePruning stores Window().Pruned, and removes the window's runs but the one that Window().RollbackID names.
	SavePruning() error
}

// An EntryTx reads and changes the window's entries.
type EntryTx interface {
	// FindEntry returns the entry with this id, or nil if this window has none. It sees what this and
	// earlier units of the same transaction wrote. elsewhere reports that another window has the id.
	FindEntry(id uuid.UUID) (e *Entry, elsewhere bool, err error)
	// FindEntries is FindEntry for several, in no order; those that this window does not have are left out.
	FindEntries(ids []uuid.UUID) ([]Entry, error)
	// InsertEntry adds an entry; its Seq, State and Journal are set by the caller.
	InsertEntry(e *Entry) error
	// SaveEntry writes e back if its state is still from; otherwise nothing of the unit is done, and Update returns
	// CodeConflict, whatever the function makes of it. Attempts are not touched: SaveAttempt does that.
	SaveEntry(e *Entry, from EntryState) error
	// SaveAttempt inserts or replaces attempt a.N of the entry.
	SaveAttempt(entryID uuid.UUID, a Attempt) error
	// SameResource returns the window's entries with this resource key, oldest first, without attempts.
	// A zero key matches nothing.
	SameResource(key Key) ([]Entry, error)
}

// A RivalTx reads what other windows have. Live windows are those whose state is [WindowState.Live], and kept ones
// with a rollback that is not over.
type RivalTx interface {
	// Rivals returns the open entries of other live windows with one of these resource keys, in no order. Of two
	// units at once that ask for the same key and then change an entry on it, one sees what the other did.
	Rivals(keys []Key) ([]Rival, error)
	// Renamed returns the entries with an Alias of this window and of the other live ones, without attempts; none
	// if there is no other live window.
	Renamed() ([]Entry, error)
}

// A RollbackTx reads and changes the window's rollbacks.
type RollbackTx interface {
	// FindRollback returns the rollback, or CodeNotFound if this window has none with that id.
	FindRollback(id uuid.UUID) (*Rollback, error)
	// InsertRollback adds a run. Two that are not over cannot stand in one window: CodeConflict.
	InsertRollback(r *Rollback) error
	// SaveRollback writes r back if its epoch is still epoch; otherwise nothing of the unit is done, and Update returns ErrFenced,
	// whatever the function makes of it.
	SaveRollback(r *Rollback, epoch int64) error
}

// A ReplyTx keeps first answers for Idempotency-Key.
type ReplyTx interface {
	// FindReply returns the stored answer of a key, or nil.
	FindReply(key ReplyKey) (*Reply, error)
	// SaveReply stores the answer of a key.
	SaveReply(key ReplyKey, r Reply) error
}

// A Reader reads without a fence; what it returns may be out of date at once.
type Reader interface {
	// FindWindow returns a window; CodeNotFound if there is none.
	FindWindow(ctx context.Context, id uuid.UUID) (*Window, error)
	// ListWindows returns windows, newest first.
	ListWindows(ctx context.Context, q WindowQuery) ([]Window, error)
	// GetEntry returns an entry with its attempts; CodeNotFound if there is none.
	GetEntry(ctx context.Context, id uuid.UUID) (*Entry, error)
	// ListEntries returns entries with their attempts, in the order of q.
	ListEntries(ctx context.Context, q EntryQuery) ([]Entry, error)
	// GetRollback returns a rollback; CodeNotFound if there is none.
	GetRollback(ctx context.Context, id uuid.UUID) (*Rollback, error)
	// CountEntries counts the window's entries that sel picks.
	CountEntries(ctx context.Context, windowID uuid.UUID, sel Selection) (Counts, error)
	Scanner
}

// A Measurer tells what was measured.
type Measurer interface {
	// AttemptTimes returns how long attempts took that are over and were sent: of the newest entries that have some, at
	// most limit, in no order.
	AttemptTimes(ctx context.Context, limit int) ([]AttemptTime, error)
}

// A Scanner has the reads that walk over many rows.
type Scanner interface {
	// ListRecords returns up to limit records of the window's journal with Number > after, in order.
	// rollbackID, unless zero, leaves out records of other rollbacks.
	ListRecords(ctx context.Context, q RecordQuery) ([]journal.Record, error)
	// Unfinished returns the rollbacks that are not over, oldest first.
	Unfinished(ctx context.Context) ([]Rollback, error)
	// SharedResources returns, for the resource keys that more than one open entry of the window names,
	// how many do. It is what a plan needs to foresee the state that a newer undo leaves behind.
	SharedResources(ctx context.Context, windowID uuid.UUID) (map[Key]int, error)
	// Rivals is [RivalTx.Rivals] for the window, without a fence.
	Rivals(ctx context.Context, windowID uuid.UUID, keys []Key) ([]Rival, error)
	// Renamed is [RivalTx.Renamed] for the window, without a fence.
	Renamed(ctx context.Context, windowID uuid.UUID) ([]Entry, error)
	// Named returns what the system's entries in all windows name that are not void: their resource keys, each once and
	// in no order, and those entries that have an Alias, without attempts.
	Named(ctx context.Context, system string) (keys []Key, renamed []Entry, err error)
	// SystemsInUse returns the names of systems that open entries of unfinished windows need.
	SystemsInUse(ctx context.Context) ([]string, error)
}

// A WindowQuery pages through windows, newest first.
type WindowQuery struct {
	State  WindowState // empty: any
	Before uuid.UUID   // only older ids (UUIDv7 sort by time); zero: from the newest
	Limit  int
}

// An EntryQuery pages through entries of a window.
type EntryQuery struct {
	WindowID   uuid.UUID
	States     []EntryState // any of them; empty: all
	OpenOnly   bool         // leave out entries that are Closed
	Select     Selection
	RecordedBy string // token id; empty: anybody's
	Doubted    bool   // only entries judged by looking
	Resource   Key    // only entries with this resource key; zero: any
	Aliased    bool   // only entries with an Alias
	Desc       bool   // newest first
	From       int    // only Seq beyond it in the direction of the order; 0: from the start
	Limit      int
}

// A RecordQuery pages through a journal.
type RecordQuery struct {
	WindowID   uuid.UUID
	RollbackID uuid.UUID // only records of this rollback; zero: all
	After      int64
	Limit      int
}

// Tokens keeps the tokens of the API, by hash.
type Tokens interface {
	// InsertToken adds a token.
	InsertToken(ctx context.Context, t Token) error
	// FindToken returns the token with this hash, or nil.
	FindToken(ctx context.Context, hash [32]byte) (*Token, error)
	// ListTokens returns all tokens, oldest first.
	ListTokens(ctx context.Context) ([]Token, error)
	// RevokeToken ends a token at once; CodeNotFound if there is none.
	RevokeToken(ctx context.Context, id string, at time.Time) error
}

// Replies keeps first answers outside a unit of work: those that are asked for before it, and refusals,
// which change nothing else.
type Replies interface {
	// GetReply returns the stored answer of a key, or nil. It reads without a fence: an answer that is
	// being stored may be missed.
	GetReply(ctx context.Context, key ReplyKey) (*Reply, error)
	// KeepReply stores the answer of a key durably, unless the key has one: the first one stays.
	KeepReply(ctx context.Context, key ReplyKey, r Reply) error
}

// Retention removes what is past its time.
type Retention interface {
	// Expired returns windows that are rolled back or kept, have no open entry and no unfinished rollback, whose newest record
	// is older than before and not one of kind window.pruned; oldest first, with ids higher than after, at most limit.
	Expired(ctx context.Context, before time.Time, after uuid.UUID, limit int) ([]Window, error)
	// RemovePruned removes some rows that a window's Pruned says are removed: about limit of them. n 0: none are left. Lists and
	// counts leave such rows out from the moment that they are pruned.
	RemovePruned(ctx context.Context, limit int) (n int, err error)
}

// A ReplyKey names one answered request.
type ReplyKey struct {
	TokenID string
	Method  string
	Path    string
	Key     string
}

// A Reply is the first answer to a request with an Idempotency-Key. It is kept at least 24 hours.
type Reply struct {
	RequestHash [32]byte // of the request's body; see [Ledger.HashRequest]
	Status      int
	Header      map[string]string
	Body        []byte
	At          time.Time
}
