package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
)

// entryRow has what queries ask for in columns of its own, and the whole draft in Body.
type entryRow struct {
	bun.BaseModel `bun:"table:entries"`

	// What never changes.
	ID         uuid.UUID `bun:"id,pk"`
	WindowID   uuid.UUID `bun:"window_id"`
	Seq        int64     `bun:"seq"`
	RecordedBy string    `bun:"recorded_by"`
	RecordedAt int64     `bun:"recorded_at"`
	Posted     []byte    `bun:"posted"`   // hash of the draft as it was posted
	DataKey    []byte    `bun:"data_key"` // of its secret fields, wrapped; ReplaceDataKey alone changes it

	System        string    `bun:"system"`
	Kind          string    `bun:"kind"`
	Tag           string    `bun:"tag"`
	State         string    `bun:"state"`
	OnRollback    string    `bun:"on_rollback"`
	Open          bool      `bun:"open"` // !Entry.Closed() when it was written
	Outcome       string    `bun:"outcome"`
	Reason        string    `bun:"reason"`
	Detail        string    `bun:"detail"`
	PerformBy     int64     `bun:"perform_by"`
	Late          bool      `bun:"late"`
	Doubted       bool      `bun:"doubted"`
	Warnings      []byte    `bun:"warnings"`
	ResourceKey   []byte    `bun:"resource_key"`
	ResourceRef   *int64    `bun:"resource_ref"`
	RollbackID    uuid.UUID `bun:"rollback_id"`
	NowDigest     string    `bun:"now_digest"`
	NowImage      []byte    `bun:"now_image"`
	Decision      []byte    `bun:"decision"`
	NotBefore     int64     `bun:"not_before"`
	AppliedAt     int64     `bun:"applied_at"`
	UndoneAt      int64     `bun:"undone_at"`
	JournalNumber int64     `bun:"journal_number"`
	JournalHash   []byte    `bun:"journal_hash"`
	Body          []byte    `bun:"body"`
	Alias         []byte    `bun:"alias"`

	place int // in the batch that adds it
}

// fixedColumns is how many of a row's first columns never change.
const fixedColumns = 7

func (r *entryRow) args() []any { return values(r.fields()) }

func (r *entryRow) fields() []any {
	return []any{
		&r.ID, &r.WindowID, &r.Seq, &r.RecordedBy, &r.RecordedAt, &r.Posted, &r.DataKey,
		&r.System, &r.Kind, &r.Tag, &r.State, &r.OnRollback, &r.Open, &r.Outcome, &r.Reason, &r.Detail, &r.PerformBy, &r.Late, &r.Doubted,
		&r.Warnings, &r.ResourceKey, &r.ResourceRef, &r.RollbackID, &r.NowDigest, &r.NowImage, &r.Decision, &r.NotBefore, &r.AppliedAt, &r.UndoneAt,
		&r.JournalNumber, &r.JournalHash, &r.Body, &r.Alias,
	}
}

// aliasDoc is a [ledger.Alias] as it is stored.
type aliasDoc struct {
	Resource string // text: a raw document would not keep its bytes in one
	At       int64
}

// decisionDoc is a [ledger.Decision] as it is stored.
type decisionDoc struct {
	Kind     string
	Reason   string
	Seen     string
	Evidence string
	By       string
	At       int64
	Attempts int `json:",omitempty"`
}

func entryToRow(e *ledger.Entry) (*entryRow, error) {
	body, err := ledger.EncodeDraft(&e.Draft)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	warnings, err := document(e.Warnings, len(e.Warnings) == 0)
	if err != nil {
		return nil, err
	}
	r := &entryRow{
		ID: e.ID, WindowID: e.WindowID, Seq: int64(e.Seq), RecordedBy: e.RecordedBy, RecordedAt: micros(e.RecordedAt),
		Posted: e.Posted[:], DataKey: e.DataKey,
		System: e.System, Kind: e.Kind, Tag: e.Tag, State: string(e.State), OnRollback: string(e.OnRollback), Open: !e.Closed(),
		Outcome: string(e.Outcome), Reason: string(e.Reason), Detail: e.Detail, PerformBy: micros(e.PerformBy), Late: e.Late,
		Doubted: e.Doubted, Warnings: warnings, RollbackID: e.RollbackID, NowDigest: e.NowDigest, NotBefore: micros(e.NotBefore),
		AppliedAt: micros(e.AppliedAt), UndoneAt: micros(e.UndoneAt), JournalNumber: e.Journal.Number, JournalHash: e.Journal.Hash[:],
		Body: body,
	}
	if e.ResourceKey != (ledger.Key{}) {
		ref := resourceRef(e.WindowID, e.ResourceKey, e.Seq/inBucket)
		r.ResourceKey, r.ResourceRef = e.ResourceKey[:], &ref
	}
	if e.Now.Known() {
		r.NowImage = e.Now.JSON
	}
	if a := e.Alias; a != nil {
		if r.Alias, err = document(aliasDoc{string(a.Resource), micros(a.At)}, false); err != nil {
			return nil, err
		}
	}
	if d := e.Decision; d != nil {
		r.Decision, err = document(decisionDoc{string(d.Kind), d.Reason, d.Seen, d.Evidence, d.By, micros(d.At), d.Attempts}, false)
	}
	return r, err
}

// inBucket is how many entries of a window, one after the other, share a bucket of the index of resources.
const inBucket = 2048

// resourceRef is what the index of resources holds: 23 bits of the window, 16 bits of the entry's bucket, 24
// bits of the key. Hashes are spread evenly, and an index over them alone would touch another page with
// every entry; so the newest bucket, a few pages, takes them all, and a look asks every bucket of the
// window. Two keys may share a ref: whoever looks one up compares the key as well.
func resourceRef(windowID uuid.UUID, key ledger.Key, bucket int) int64 {
	window := sha256.Sum256(windowID[:])
	return int64(binary.BigEndian.Uint32(window[:])>>9)<<40 | int64(uint16(bucket))<<24 | //nolint:gosec // 23 bits keep the sign
		int64(binary.BigEndian.Uint32(key[:])>>8)
}

// resourceRefs are the refs that a resource may have in a window of so many entries.
func resourceRefs(windowID uuid.UUID, key ledger.Key, entries int) []int64 {
	refs := make([]int64, entries/inBucket+1)
	for i := range refs {
		refs[i] = resourceRef(windowID, key, i)
	}
	return refs
}

// entry returns the row's entry without attempts. The draft's own members stand in the body alone.
func (r *entryRow) entry() (*ledger.Entry, error) {
	draft, err := ledger.DecodeDraft(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the stored entry %s: %w", r.ID, err)
	}
	draft.DataKey = r.DataKey
	e := &ledger.Entry{
		Draft: draft, WindowID: r.WindowID, Seq: int(r.Seq), State: ledger.EntryState(r.State), Reason: ledger.Reason(r.Reason),
		Detail: r.Detail, Outcome: ledger.Outcome(r.Outcome), PerformBy: moment(r.PerformBy), Late: r.Late, Doubted: r.Doubted,
		RecordedBy: r.RecordedBy, RollbackID: r.RollbackID, NowDigest: r.NowDigest, Now: ledger.Image{JSON: r.NowImage},
		NotBefore: moment(r.NotBefore), RecordedAt: moment(r.RecordedAt), AppliedAt: moment(r.AppliedAt), UndoneAt: moment(r.UndoneAt),
		Journal: ledger.Head{Number: r.JournalNumber},
	}
	if err := hash(&e.Journal.Hash, r.JournalHash); err != nil {
		return nil, err
	}
	if err := hash(&e.Posted, r.Posted); err != nil {
		return nil, err
	}
	if len(r.ResourceKey) > 0 {
		if err := hash((*[32]byte)(&e.ResourceKey), r.ResourceKey); err != nil {
			return nil, err
		}
	}
	if len(r.Decision) > 0 {
		var d decisionDoc
		if err := parse(r.Decision, &d); err != nil {
			return nil, err
		}
		e.Decision = &ledger.Decision{
			Kind: ledger.DecisionKind(d.Kind), Reason: d.Reason, Seen: d.Seen, Evidence: d.Evidence, By: d.By, At: moment(d.At), Attempts: d.Attempts,
		}
	}
	if len(r.Alias) > 0 {
		var a aliasDoc
		if err := parse(r.Alias, &a); err != nil {
			return nil, err
		}
		e.Alias = &ledger.Alias{Resource: json.RawMessage(a.Resource), At: moment(a.At)}
	}
	return e, parse(r.Warnings, &e.Warnings)
}

// rollbackRow is one run.
type rollbackRow struct {
	bun.BaseModel `bun:"table:rollbacks"`

	ID          uuid.UUID `bun:"id,pk"`
	WindowID    uuid.UUID `bun:"window_id"`
	State       string    `bun:"state"`
	Waiting     []byte    `bun:"waiting"`
	Selection   []byte    `bun:"selection"`
	OnStuck     string    `bun:"on_stuck"`
	RequestedBy string    `bun:"requested_by"`
	Reason      string    `bun:"reason"`
	Again       bool      `bun:"again"`
	Cancelling  bool      `bun:"cancelling"`
	Complete    bool      `bun:"complete"`
	CreatedAt   int64     `bun:"created_at"`
	StartedAt   int64     `bun:"started_at"`
	FinishedAt  int64     `bun:"finished_at"`
	Epoch       int64     `bun:"epoch"`
	Holder      string    `bun:"holder"`
	LeaseUntil  int64     `bun:"lease_until"`
	Words       []byte    `bun:"words"`
	Restore     bool      `bun:"restore_snapshot"`
	Trace       string    `bun:"trace"`
	Parallel    int64     `bun:"parallel"`
}

func (r *rollbackRow) args() []any { return values(r.fields()) }

func (r *rollbackRow) fields() []any {
	return []any{
		&r.ID, &r.WindowID, &r.State, &r.Waiting, &r.Selection, &r.OnStuck, &r.RequestedBy, &r.Reason, &r.Again, &r.Cancelling, &r.Complete, &r.CreatedAt,
		&r.StartedAt, &r.FinishedAt, &r.Epoch, &r.Holder, &r.LeaseUntil, &r.Words, &r.Restore, &r.Trace, &r.Parallel,
	}
}

// waitingDoc, wordDoc, selectionDoc and termDoc are [ledger.Waiting], [ledger.Word], [ledger.Selection] and
// [ledger.Term] as they are stored.
type waitingDoc struct {
	Why   string
	Until int64
	On    string
}

type wordDoc struct {
	System  string
	Detail  string
	AskedAt int64
	By      string
	Reason  string
	GivenAt int64
}

type selectionDoc struct {
	Only    []termDoc
	Exclude []termDoc
	After   int
	UpTo    int         `json:",omitempty"`
	Also    []uuid.UUID `json:",omitempty"`
}

type termDoc struct {
	ID     uuid.UUID
	Seq    int
	System string
	Kind   string
	Tag    string
}

func rollbackToRow(r *ledger.Rollback) (*rollbackRow, error) {
	sel, err := document(selectionDoc{
		Only: termDocs(r.Select.Only), Exclude: termDocs(r.Select.Exclude), After: r.Select.After, UpTo: r.Select.UpTo, Also: r.Select.Also,
	}, r.Select.All())
	if err != nil {
		return nil, err
	}
	row := &rollbackRow{
		ID: r.ID, WindowID: r.WindowID, State: string(r.State), Selection: sel, OnStuck: string(r.OnStuck), RequestedBy: r.RequestedBy,
		Reason: r.Reason, Again: r.Again, Cancelling: r.Cancelling, Complete: r.Complete, CreatedAt: micros(r.CreatedAt), StartedAt: micros(r.StartedAt),
		FinishedAt: micros(r.FinishedAt), Epoch: r.Epoch, Holder: r.Holder, LeaseUntil: micros(r.LeaseUntil),
		Restore: r.RestoreSnapshot, Trace: string(r.Trace), Parallel: int64(r.Parallel),
	}
	if w := r.Waiting; w != nil {
		if row.Waiting, err = document(waitingDoc{w.Why, micros(w.Until), w.On}, false); err != nil {
			return nil, err
		}
	}
	var words []wordDoc
	for _, w := range r.Words {
		words = append(words, wordDoc{w.System, w.Detail, micros(w.AskedAt), w.By, w.Reason, micros(w.GivenAt)})
	}
	row.Words, err = document(words, len(words) == 0)
	return row, err
}

func (r *rollbackRow) rollback() (*ledger.Rollback, error) {
	out := &ledger.Rollback{
		ID: r.ID, WindowID: r.WindowID, State: ledger.RollbackState(r.State), OnStuck: ledger.OnStuck(r.OnStuck),
		RequestedBy: r.RequestedBy, Reason: r.Reason, Again: r.Again, Cancelling: r.Cancelling, Complete: r.Complete, CreatedAt: moment(r.CreatedAt), StartedAt: moment(r.StartedAt),
		FinishedAt: moment(r.FinishedAt), Epoch: r.Epoch, Holder: r.Holder, LeaseUntil: moment(r.LeaseUntil),
		RestoreSnapshot: r.Restore, Trace: ledger.Trace(r.Trace), Parallel: int(r.Parallel),
	}
	var sel selectionDoc
	if err := parse(r.Selection, &sel); err != nil {
		return nil, err
	}
	out.Select = ledger.Selection{Only: terms(sel.Only), Exclude: terms(sel.Exclude), After: sel.After, UpTo: sel.UpTo, Also: sel.Also}
	var words []wordDoc
	if err := parse(r.Words, &words); err != nil {
		return nil, err
	}
	for _, w := range words {
		out.Words = append(out.Words, ledger.Word{
			System: w.System, Detail: w.Detail, AskedAt: moment(w.AskedAt), By: w.By, Reason: w.Reason, GivenAt: moment(w.GivenAt),
		})
	}
	if len(r.Waiting) > 0 {
		var w waitingDoc
		if err := parse(r.Waiting, &w); err != nil {
			return nil, err
		}
		out.Waiting = &ledger.Waiting{Why: w.Why, Until: moment(w.Until), On: w.On}
	}
	return out, nil
}

func termDocs(ts []ledger.Term) []termDoc {
	var out []termDoc
	for _, t := range ts {
		out = append(out, termDoc(t))
	}
	return out
}

func terms(ds []termDoc) []ledger.Term {
	var out []ledger.Term
	for _, d := range ds {
		out = append(out, ledger.Term(d))
	}
	return out
}
