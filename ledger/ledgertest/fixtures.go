package ledgertest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// NewWindow returns an open window with a fresh id, as [ledger.Writer.Open] takes it.
func NewWindow(name string) ledger.Window {
	return ledger.Window{
		WindowDraft: ledger.WindowDraft{Name: name, OpensAt: start, EndsAt: start.Add(4 * time.Hour)},
		ID:          ledger.NewID(), State: ledger.WindowOpen, CreatedAt: start,
	}
}

// NewEntry returns an applied update of a resource of its own, with a fresh id, recorded at the fixtures'
// start. Seq and Journal are for whoever inserts it: see [Insert].
func NewEntry(windowID uuid.UUID, system string) ledger.Entry {
	id := ledger.NewID()
	resource := json.RawMessage(fmt.Sprintf(`{"id":"%s"}`, id))
	return ledger.Entry{
		Draft: ledger.Draft{
			ID: id, System: system, Kind: "http.request", Action: ledger.ActionUpdate, Resource: resource,
			Before: ledger.Image{JSON: json.RawMessage(`{"enabled":false}`)},
			After:  ledger.Image{JSON: json.RawMessage(`{"enabled":true}`)},
			State:  ledger.EntryApplied, Perform: time.Minute, OnRollback: ledger.OnRollbackUndo, Reversible: ledger.ReversibleExact,
			Trace: span,
		},
		WindowID: windowID, State: ledger.EntryApplied, ResourceKey: ledger.ResourceKey(system, resource), RecordedBy: "token",
		RecordedAt: start, AppliedAt: start,
	}
}

// NewRollback returns a queued run over the whole window.
func NewRollback(windowID uuid.UUID) ledger.Rollback {
	return ledger.Rollback{
		ID: ledger.NewID(), WindowID: windowID, State: ledger.RollbackQueued, OnStuck: ledger.OnStuckContinue,
		RequestedBy: "token", CreatedAt: start, Trace: span,
	}
}

// span is what the fixtures were recorded under.
const span = ledger.Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")

// Append chains a record of this kind to the window's journal.
func Append(tx ledger.Tx, kind string, entryID, rollbackID uuid.UUID) (ledger.Head, error) {
	r := journal.Record{Number: tx.Window().Head.Number + 1, Kind: kind, At: start}
	if entryID != uuid.Nil {
		r.EntryID = entryID.String()
	}
	if rollbackID != uuid.Nil {
		r.RollbackID = rollbackID.String()
	}
	r.Body = fmt.Appendf(nil, `{"number":%d,"kind":%q,"entry_id":%q}`, r.Number, kind, r.EntryID)
	return tx.Append(r)
}

// Insert adds e as the window's next entry, together with its journal record, and sets its Seq and Journal.
func Insert(tx ledger.Tx, e *ledger.Entry) error {
	head, err := Append(tx, "entry.recorded", e.ID, uuid.Nil)
	if err != nil {
		return err
	}
	tx.Window().LastSeq++
	e.Seq, e.Journal = tx.Window().LastSeq, head
	return tx.InsertEntry(e)
}

// Record inserts entries into their window in one update.
func Record(ctx context.Context, s ledger.Store, windowID uuid.UUID, es ...*ledger.Entry) error {
	return s.Update(ctx, windowID, func(tx ledger.Tx) error {
		for _, e := range es {
			if err := Insert(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// CountsOf counts entries as a store must.
func CountsOf(es []ledger.Entry) ledger.Counts {
	var c ledger.Counts
	for i := range es {
		*counter(&c, &es[i])++
	}
	return c
}

func counter(c *ledger.Counts, e *ledger.Entry) *int {
	switch {
	case e.State == ledger.EntryUndone:
		return undone(c, e.Outcome)
	case e.State == ledger.EntryVoid:
		return &c.Void
	case e.State == ledger.EntryWaived:
		return &c.Waived
	case e.OnRollback == ledger.OnRollbackRetain:
		return &c.Retained
	case e.State == ledger.EntryStuck:
		return &c.Stuck
	default:
		return &c.Remaining
	}
}

func undone(c *ledger.Counts, o ledger.Outcome) *int {
	switch o {
	case ledger.OutcomeAlreadyUndone:
		return &c.AlreadyUndone
	case ledger.OutcomeCompensated:
		return &c.Compensated
	case ledger.OutcomeUnverified:
		return &c.Unverified
	case ledger.OutcomeByHand:
		return &c.ByHand
	case ledger.OutcomeUndone:
		return &c.Undone
	default:
		return &c.Undone
	}
}
