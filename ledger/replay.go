package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// A Rebuilt is a window as its journal alone tells it.
type Rebuilt struct {
	Window    Window
	Entries   []Entry // by Seq; from 1, or from behind Window.Pruned.LastSeq
	Rollbacks []Rollback

	byID map[uuid.UUID]int // place in Entries
}

// SecretEntry returns the entry whose draft, with secret fields, stands in a record; uuid.Nil: none does.
func SecretEntry(r journal.Record) (uuid.UUID, error) {
	if !bytes.Contains(r.Body, []byte(`"secret"`)) {
		return uuid.Nil, nil
	}
	var body struct {
		EntryID uuid.UUID `json:"entry_id"`
		Draft   struct {
			Secret []string `json:"secret"`
		} `json:"draft"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return uuid.Nil, fmt.Errorf("read record %d: %w", r.Number, err)
	}
	if len(body.Draft.Secret) == 0 {
		return uuid.Nil, nil
	}
	return body.EntryID, nil
}

// Apply takes in the next record of the journal. Records come in order, from the first, or from one that says that
// everything before it was removed.
func (b *Rebuilt) Apply(r journal.Record) error {
	var body recordBody
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return fmt.Errorf("read record %d: %w", r.Number, err)
	}
	b.Window.ID, b.Window.Head = body.WindowID, Head{Number: body.Number, Hash: r.Hash}
	if body.Window != nil {
		if err := body.Window.into(&b.Window); err != nil {
			return fmt.Errorf("rebuild from record %d: %w", r.Number, err)
		}
	}
	if body.Kind == journal.KindPruned {
		b.Entries, b.byID, b.Rollbacks, b.Window.LastSeq = nil, nil, nil, b.Window.Pruned.LastSeq
	}
	if err := b.applyEntry(body); err != nil {
		return fmt.Errorf("rebuild from record %d: %w", r.Number, err)
	}
	if body.Rollback != nil {
		return body.Rollback.into(b.rollback(body))
	}
	return nil
}

func (b *Rebuilt) applyEntry(body recordBody) error {
	if body.Entry == nil {
		return nil
	}
	if b.byID == nil {
		b.byID = map[uuid.UUID]int{}
	}
	i, known := b.byID[body.EntryID]
	if !known {
		i = len(b.Entries)
		b.byID[body.EntryID] = i
		b.Entries = append(b.Entries, Entry{WindowID: body.WindowID})
		b.Window.LastSeq = body.Entry.Seq
	}
	e := &b.Entries[i]
	if len(body.Draft) > 0 {
		d, err := DecodeDraft(body.Draft)
		if err != nil {
			return err
		}
		e.Draft = d
	}
	body.Entry.into(e)
	e.Journal = b.Window.Head
	if a := body.Attempt; a != nil {
		if a.N < 1 || a.N > len(e.Attempts)+1 {
			return fmt.Errorf("attempt %d follows %d others", a.N, len(e.Attempts))
		}
		e.Attempts = putAttempt(e.Attempts, Attempt(*a))
	}
	return nil
}

// putAttempt inserts or replaces attempt a.N.
func putAttempt(list []Attempt, a Attempt) []Attempt {
	if a.N <= len(list) {
		list[a.N-1] = a
		return list
	}
	return append(list, a)
}

func (b *Rebuilt) rollback(body recordBody) *Rollback {
	for i := range b.Rollbacks {
		if b.Rollbacks[i].ID == body.RollbackID {
			return &b.Rollbacks[i]
		}
	}
	b.Rollbacks = append(b.Rollbacks, Rollback{ID: body.RollbackID, WindowID: body.WindowID})
	return &b.Rollbacks[len(b.Rollbacks)-1]
}
