package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// A WindowView is a window with its counts.
type WindowView struct {
	Window
	Counts Counts
}

// A RollbackView is a rollback with the counts of what it selected.
type RollbackView struct {
	Rollback
	Counts Counts
}

// Recorded is what became of one posted draft.
type Recorded struct {
	Entry  *Entry
	Replay bool // the same id with the same content was here before
}

// A Report completes an entry that is there now.
type Report struct {
	After    Image           // not known: not said
	Resource json.RawMessage // empty: not said
}

// A SelectRequest is a selection as it is posted.
type SelectRequest struct {
	Only    []string
	Exclude []string
	ToEntry string // id or number
	ToTag   string
}

// A RollbackRequest asks for a run.
type RollbackRequest struct {
	SelectRequest
	Reason  string
	Plan    string // fingerprint; empty: whatever is there
	OnStuck OnStuck
}

// A Resolution is a person's word on a stuck entry.
type Resolution struct {
	Decision DecisionKind
	Reason   string
	Seen     string
	Evidence string
}

// A Step is one entry of a plan.
type Step struct {
	Entry   *Entry
	Verdict Verdict
	Detail  string
	Now     Image
	Request Request // Method empty: nothing would be sent
}

// A PlanSummary ends a plan.
type PlanSummary struct {
	WindowID    uuid.UUID
	ComputedAt  time.Time
	Fingerprint string
	Counts      map[Verdict]int
}

// Checked is the comparison of one entry with its recorded state.
type Checked struct {
	EntryID uuid.UUID
	Seq     int
	Verdict string // same, drifted, unknown
	Detail  string
}

func (l *Ledger) OpenWindow(ctx context.Context, d WindowDraft) (*WindowView, error) { panic("later") }
func (l *Ledger) Window(ctx context.Context, id uuid.UUID) (*WindowView, error)      { panic("later") }
func (l *Ledger) Windows(ctx context.Context, q WindowQuery) ([]WindowView, error)   { panic("later") }
func (l *Ledger) Seal(ctx context.Context, id uuid.UUID, reason string) (*WindowView, error) {
	panic("later")
}
func (l *Ledger) Reopen(ctx context.Context, id uuid.UUID, reason string) (*WindowView, error) {
	panic("later")
}
func (l *Ledger) Keep(ctx context.Context, id uuid.UUID, reason string) (*WindowView, error) {
	panic("later")
}

// Record records drafts all or none, in order. The result has their order. With Once, the result given to RenderFunc is []Recorded.
func (l *Ledger) Record(ctx context.Context, windowID uuid.UUID, drafts []Draft) ([]Recorded, error) {
	panic("later")
}
func (l *Ledger) Entry(ctx context.Context, id uuid.UUID) (*Entry, error)    { panic("later") }
func (l *Ledger) Entries(ctx context.Context, q EntryQuery) ([]Entry, error) { panic("later") }
func (l *Ledger) Applied(ctx context.Context, id uuid.UUID, r Report) (*Entry, error) {
	panic("later")
}
func (l *Ledger) Void(ctx context.Context, id uuid.UUID, reason string) (*Entry, error) {
	panic("later")
}
func (l *Ledger) Renew(ctx context.Context, id uuid.UUID) (*Entry, error) { panic("later") }

// Select resolves a posted selection against a window.
func (l *Ledger) Select(ctx context.Context, windowID uuid.UUID, r SelectRequest) (Selection, error) {
	panic("later")
}
func (l *Ledger) Plan(ctx context.Context, windowID uuid.UUID, sel Selection, yield func(Step) error) (PlanSummary, error) {
	panic("later")
}
func (l *Ledger) Verify(ctx context.Context, windowID uuid.UUID) ([]Checked, error) { panic("later") }

// StartRollback starts a run or joins the running one; of a window already rolled back it returns the last one.
func (l *Ledger) StartRollback(ctx context.Context, windowID uuid.UUID, r RollbackRequest) (*RollbackView, error) {
	panic("later")
}
func (l *Ledger) Rollback(ctx context.Context, id uuid.UUID) (*RollbackView, error) { panic("later") }
func (l *Ledger) Pause(ctx context.Context, id uuid.UUID) (*RollbackView, error)    { panic("later") }
func (l *Ledger) Resume(ctx context.Context, id uuid.UUID) (*RollbackView, error)   { panic("later") }
func (l *Ledger) Cancel(ctx context.Context, id uuid.UUID) (*RollbackView, error)   { panic("later") }
func (l *Ledger) Resolve(ctx context.Context, entryID uuid.UUID, r Resolution) (*Entry, error) {
	panic("later")
}

// Next says what to type for a stuck entry; empty: nothing.
func (e *Entry) Next() string { panic("later") }

// Records reads the journal.
func (l *Ledger) Records(ctx context.Context, q RecordQuery) ([]journal.Record, error) {
	panic("later")
}

// SystemList lists the configured third parties.
func (l *Ledger) SystemList() []SystemStatus { panic("later") }

// CreateToken makes a token; secret is shown once and only its hash is kept.
func (l *Ledger) CreateToken(ctx context.Context, t Token) (secret string, _ Token, err error) {
	panic("later")
}

// Authenticate returns whose token this is; CodeUnauthenticated if it is unknown, expired or revoked.
func (l *Ledger) Authenticate(ctx context.Context, secret string) (Actor, error) { panic("later") }
func (l *Ledger) Tokens(ctx context.Context) ([]Token, error)                    { panic("later") }
func (l *Ledger) RevokeToken(ctx context.Context, id string) error               { panic("later") }
