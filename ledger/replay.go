package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// A Rebuilt is a window as its journal alone tells it, with all of its entries. Where these may be many, an [Outline] does.
type Rebuilt struct {
	Outline
	Entries []Entry // by Seq, from First on
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

// Apply is [Outline.Apply].
func (b *Rebuilt) Apply(r journal.Record) error {
	t, err := b.apply(r)
	if err != nil {
		return err
	}
	if t.Kind == journal.KindPruned {
		b.Entries = nil
	}
	if t.Entry == nil {
		return nil
	}
	i := t.Entry.Seq - b.First()
	for len(b.Entries) <= i {
		b.Entries = append(b.Entries, Entry{WindowID: t.WindowID})
	}
	t.into(&b.Entries[i])
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
