package sqlstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// The rows stand in the order of their tables; fields returns where a row's values are, in that order, and args the values.

type windowRow struct {
	bun.BaseModel `bun:"table:windows"`

	ID         uuid.UUID `bun:"id,pk"`
	State      string    `bun:"state"`
	Resume     string    `bun:"resume"`
	RollbackID uuid.UUID `bun:"rollback_id"`
	LastSeq    int64     `bun:"last_seq"`
	HeadNumber int64     `bun:"head_number"`
	HeadHash   []byte    `bun:"head_hash"`
	CreatedAt  int64     `bun:"created_at"`
	SealedAt   int64     `bun:"sealed_at"`
	Name       string    `bun:"name"`
	Ticket     string    `bun:"ticket"`
	Owner      string    `bun:"owner"`
	OpensAt    int64     `bun:"opens_at"`
	EndsAt     int64     `bun:"ends_at"`
	BufferNS   int64     `bun:"buffer_ns"`
	Snapshot   string    `bun:"snapshot"`
	Labels     []byte    `bun:"labels"`
	Restore    []byte    `bun:"restore"` // a draft
	Pruned     []byte    `bun:"pruned"`
	// Of Pruned; 0: nothing was removed.
	PrunedNumber int64 `bun:"pruned_number"`
	PrunedSeq    int64 `bun:"pruned_seq"`
}

func (r *windowRow) args() []any { return values(r.fields()) }

func (r *windowRow) fields() []any {
	return []any{
		&r.ID, &r.State, &r.Resume, &r.RollbackID, &r.LastSeq, &r.HeadNumber, &r.HeadHash, &r.CreatedAt, &r.SealedAt,
		&r.Name, &r.Ticket, &r.Owner, &r.OpensAt, &r.EndsAt, &r.BufferNS, &r.Snapshot, &r.Labels, &r.Restore,
		&r.Pruned, &r.PrunedNumber, &r.PrunedSeq,
	}
}

func windowToRow(w *ledger.Window) (*windowRow, error) {
	labels, err := document(w.Labels, len(w.Labels) == 0)
	if err != nil {
		return nil, err
	}
	var restore []byte
	if w.Restore != nil {
		restore, err = ledger.EncodeDraft(w.Restore)
	}
	r := &windowRow{
		ID: w.ID, State: string(w.State), Resume: string(w.Resume), RollbackID: w.RollbackID, LastSeq: int64(w.LastSeq),
		HeadNumber: w.Head.Number, HeadHash: w.Head.Hash[:], CreatedAt: micros(w.CreatedAt), SealedAt: micros(w.SealedAt),
		Name: w.Name, Ticket: w.Ticket, Owner: w.Owner, OpensAt: micros(w.OpensAt), EndsAt: micros(w.EndsAt),
		BufferNS: int64(w.Buffer), Snapshot: w.Snapshot, Labels: labels, Restore: restore,
	}
	r.prune(w.Pruned)
	return r, err
}

func (r *windowRow) prune(p *ledger.Pruning) {
	if p != nil {
		r.Pruned, r.PrunedNumber, r.PrunedSeq = ledger.EncodePruning(p), p.Number, int64(p.LastSeq)
	}
}

func (r *windowRow) window() (*ledger.Window, error) {
	w := &ledger.Window{
		WindowDraft: ledger.WindowDraft{
			Name: r.Name, Ticket: r.Ticket, Owner: r.Owner, OpensAt: moment(r.OpensAt), EndsAt: moment(r.EndsAt),
			Buffer: time.Duration(r.BufferNS), Snapshot: r.Snapshot,
		},
		ID: r.ID, State: ledger.WindowState(r.State), Resume: ledger.WindowState(r.Resume), RollbackID: r.RollbackID,
		LastSeq: int(r.LastSeq), Head: ledger.Head{Number: r.HeadNumber}, CreatedAt: moment(r.CreatedAt), SealedAt: moment(r.SealedAt),
	}
	if err := hash(&w.Head.Hash, r.HeadHash); err != nil {
		return nil, err
	}
	var err error
	if w.Restore, err = ledger.DecodeRestore(r.Restore); err != nil {
		return nil, fmt.Errorf("read the stored restore of window %s: %w", r.ID, err)
	}
	if w.Pruned, err = ledger.DecodePruning(r.Pruned); err != nil {
		return nil, err
	}
	return w, parse(r.Labels, &w.Labels)
}

type attemptRow struct {
	bun.BaseModel `bun:"table:attempts"`

	EntryID    uuid.UUID `bun:"entry_id,pk"`
	N          int64     `bun:"n,pk"`
	RollbackID uuid.UUID `bun:"rollback_id"`
	Epoch      int64     `bun:"epoch"`
	Seen       string    `bun:"seen"`
	Request    string    `bun:"request"`
	StartedAt  int64     `bun:"started_at"`
	EndedAt    int64     `bun:"ended_at"`
	Result     string    `bun:"result"`
	Status     int64     `bun:"status"`
	Burnt      bool      `bun:"burnt"`
	Detail     string    `bun:"detail"`
}

func attemptArgs(entryID uuid.UUID, a ledger.Attempt) []any {
	r := attemptRow{
		EntryID: entryID, N: int64(a.N), RollbackID: a.RollbackID, Epoch: a.Epoch, Seen: a.Seen, Request: a.Request, StartedAt: micros(a.StartedAt),
		EndedAt: micros(a.EndedAt), Result: a.Result, Status: int64(a.Status), Burnt: a.Burnt, Detail: a.Detail,
	}
	return values(r.fields())
}

func (r *attemptRow) fields() []any {
	return []any{
		&r.EntryID, &r.N, &r.RollbackID, &r.Epoch, &r.Seen, &r.Request, &r.StartedAt, &r.EndedAt, &r.Result, &r.Status, &r.Burnt, &r.Detail,
	}
}

func (r *attemptRow) attempt() ledger.Attempt {
	return ledger.Attempt{
		N: int(r.N), RollbackID: r.RollbackID, Epoch: r.Epoch, Seen: r.Seen, Request: r.Request, StartedAt: moment(r.StartedAt),
		EndedAt: moment(r.EndedAt), Result: r.Result, Status: int(r.Status), Burnt: r.Burnt, Detail: r.Detail,
	}
}

type recordRow struct {
	bun.BaseModel `bun:"table:journal"`

	WindowID   uuid.UUID `bun:"window_id,pk"`
	Number     int64     `bun:"number,pk"`
	Kind       string    `bun:"kind"`
	EntryID    string    `bun:"entry_id"`
	RollbackID string    `bun:"rollback_id"`
	At         int64     `bun:"at"`
	Body       []byte    `bun:"body"`
	Hash       []byte    `bun:"hash"`
}

func (r *recordRow) args() []any {
	return []any{r.WindowID, r.Number, r.Kind, r.EntryID, r.RollbackID, r.At, r.Body, r.Hash}
}

func (r *recordRow) record() (journal.Record, error) {
	rec := journal.Record{
		Number: r.Number, Kind: r.Kind, EntryID: r.EntryID, RollbackID: r.RollbackID, At: moment(r.At), Body: r.Body,
	}
	return rec, hash(&rec.Hash, r.Hash)
}

type tokenRow struct {
	bun.BaseModel `bun:"table:tokens"`

	ID        string    `bun:"id,pk"`
	Role      string    `bun:"role"`
	WindowID  uuid.UUID `bun:"window_id"`
	Hash      []byte    `bun:"hash"`
	CreatedAt int64     `bun:"created_at"`
	ExpiresAt int64     `bun:"expires_at"`
	RevokedAt int64     `bun:"revoked_at"`
}

func (r *tokenRow) token() (ledger.Token, error) {
	t := ledger.Token{
		ID: r.ID, Role: ledger.Role(r.Role), WindowID: r.WindowID, CreatedAt: moment(r.CreatedAt),
		ExpiresAt: moment(r.ExpiresAt), RevokedAt: moment(r.RevokedAt),
	}
	return t, hash(&t.Hash, r.Hash)
}

type replyRow struct {
	bun.BaseModel `bun:"table:replies"`

	TokenID     string `bun:"token_id,pk"`
	Method      string `bun:"method,pk"`
	Path        string `bun:"path,pk"`
	Key         string `bun:"key,pk"`
	RequestHash []byte `bun:"request_hash"`
	Status      int64  `bun:"status"`
	Header      []byte `bun:"header"`
	Body        []byte `bun:"body"`
	At          int64  `bun:"at"`
}

func (r *replyRow) args() []any {
	return []any{r.TokenID, r.Method, r.Path, r.Key, r.RequestHash, r.Status, r.Header, r.Body, r.At}
}

func replyToRow(k ledger.ReplyKey, r ledger.Reply) (*replyRow, error) {
	header, err := document(r.Header, len(r.Header) == 0)
	return &replyRow{
		TokenID: k.TokenID, Method: k.Method, Path: k.Path, Key: k.Key, RequestHash: r.RequestHash[:], Status: int64(r.Status),
		Header: header, Body: r.Body, At: micros(r.At),
	}, err
}

func (r *replyRow) reply() (*ledger.Reply, error) {
	out := &ledger.Reply{Status: int(r.Status), Body: r.Body, At: moment(r.At)}
	if err := hash(&out.RequestHash, r.RequestHash); err != nil {
		return nil, err
	}
	return out, parse(r.Header, &out.Header)
}

// values returns what stands in the fields of a row.
func values(fields []any) []any {
	out := make([]any, len(fields))
	for i, f := range fields {
		switch v := f.(type) {
		case *string:
			out[i] = *v
		case *int64:
			out[i] = *v
		case *bool:
			out[i] = *v
		case *[]byte:
			out[i] = *v
		case *uuid.UUID:
			out[i] = *v
		case **int64:
			out[i] = *v
		default:
			panic(fmt.Sprintf("a row has a %T", f)) // TestColumns has every row
		}
	}
	return out
}

// micros is what a time is stored as: microseconds since 1970, and 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// hash copies a stored hash; one of another length means that somebody changed the row.
func hash(dst *[32]byte, stored []byte) error {
	if len(stored) != len(dst) {
		return fmt.Errorf("a stored hash has %d bytes", len(stored))
	}
	copy(dst[:], stored)
	return nil
}

// document encodes a small document of the store's own; nothing is stored as NULL.
func document(v any, empty bool) ([]byte, error) {
	if empty {
		return nil, nil
	}
	return json.Marshal(v)
}

func parse(stored []byte, v any) error {
	if len(stored) == 0 {
		return nil
	}
	if err := json.Unmarshal(stored, v); err != nil {
		return fmt.Errorf("read a stored document: %w", err)
	}
	return nil
}
