package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// An Outline is a window as its journal alone tells it, with the numbers of records in the places of its entries: some forty bytes for
// each, however large it is. [Outline.Entry] makes an entry of its records, which are few.
type Outline struct {
	Window    Window
	Rollbacks []Rollback

	gone   int       // Seq of the newest entry that was removed; 0: none was
	traces [][]trace // of the entries behind gone, by Seq, in blocks, so that few are copied when more come
	// more has the records of attempts beyond the first, by Seq of their entry: few entries have some.
	more map[int][]int64
}

// A trace is what an outline keeps of an entry. What a record tells of an entry replaces what earlier ones told, but that not
// every record has a draft, and that each tells of one attempt.
type trace struct {
	id      uuid.UUID
	draft   int64 // newest record with its draft; 0: none has one
	attempt int64 // newest record of its first attempt; 0: there is none
	last    int64 // newest record
}

// traceBlock is how many traces stand together at most.
const traceBlock = 1024

// Apply takes in the next record of the journal. Records come in order, from the first, or from one that says that
// everything before it was removed.
func (o *Outline) Apply(r journal.Record) error {
	_, err := o.apply(r)
	return err
}

func (o *Outline) apply(r journal.Record) (*told, error) {
	t, err := tell(r)
	if err != nil {
		return nil, err
	}
	if err := o.take(t); err != nil {
		return nil, fmt.Errorf("rebuild from record %d: %w", r.Number, err)
	}
	return t, nil
}

func (o *Outline) take(t *told) error {
	o.Window.ID, o.Window.Head = t.WindowID, t.head
	if t.Window != nil {
		if err := t.Window.into(&o.Window); err != nil {
			return err
		}
	}
	if t.Kind == journal.KindPruned {
		if o.Window.Pruned == nil {
			return errors.New("it does not say what was removed")
		}
		o.gone = o.Window.Pruned.LastSeq
		o.traces, o.more, o.Rollbacks, o.Window.LastSeq = nil, nil, nil, o.gone
	}
	if t.Entry != nil {
		if err := o.trace(t); err != nil {
			return err
		}
	}
	if t.Rollback != nil {
		return t.Rollback.into(o.rollback(t))
	}
	return nil
}

// trace remembers what tells of an entry. Entries are numbered as they are recorded, without gaps.
func (o *Outline) trace(t *told) error {
	seq := t.Entry.Seq
	switch {
	case seq == o.Window.LastSeq+1:
		o.add(trace{id: t.EntryID})
	case seq <= o.gone || seq > o.Window.LastSeq || o.at(seq).id != t.EntryID:
		return fmt.Errorf("entry %s is not entry %d of %d", t.EntryID, seq, o.Window.LastSeq)
	}
	e := o.at(seq)
	e.last = t.Number
	if len(t.Draft) > 0 {
		e.draft = t.Number
	}
	if t.Attempt == nil {
		return nil
	}
	return o.attempt(e, t)
}

// attempt remembers which record tells of an entry's attempt. Attempts are numbered without gaps.
func (o *Outline) attempt(e *trace, t *told) error {
	seq, n := t.Entry.Seq, t.Attempt.N
	more := o.more[seq]
	switch {
	case n == 1:
		e.attempt = t.Number
	case n < 1 || e.attempt == 0 || n > len(more)+2:
		return fmt.Errorf("attempt %d of entry %d does not follow those before it", n, seq)
	case n == len(more)+2:
		if o.more == nil {
			o.more = map[int][]int64{}
		}
		o.more[seq] = append(more, t.Number)
	default:
		more[n-2] = t.Number
	}
	return nil
}

// add makes room for the next entry.
func (o *Outline) add(t trace) {
	if at := (o.Window.LastSeq - o.gone) % traceBlock; at == 0 {
		o.traces = append(o.traces, nil) // it grows: most windows are small
	}
	last := &o.traces[len(o.traces)-1]
	*last = append(*last, t)
	o.Window.LastSeq++
}

func (o *Outline) at(seq int) *trace {
	i := seq - o.gone - 1
	return &o.traces[i/traceBlock][i%traceBlock]
}

func (o *Outline) rollback(t *told) *Rollback {
	for i := range o.Rollbacks {
		if o.Rollbacks[i].ID == t.RollbackID {
			return &o.Rollbacks[i]
		}
	}
	o.Rollbacks = append(o.Rollbacks, Rollback{ID: t.RollbackID, WindowID: t.WindowID})
	return &o.Rollbacks[len(o.Rollbacks)-1]
}

// First returns the Seq of the first entry; the last one's is Window.LastSeq, which is less if there is none.
func (o *Outline) First() int { return o.gone + 1 }

// Records returns the numbers of the records that an entry is made of, each once, in order.
func (o *Outline) Records(seq int) []int64 {
	e := o.at(seq)
	list := append([]int64{e.draft, e.attempt, e.last}, o.more[seq]...)
	slices.Sort(list)
	list = slices.Compact(list)
	if list[0] == 0 {
		list = list[1:]
	}
	return list
}

// Entry makes an entry of the records that Records names.
func (o *Outline) Entry(seq int, recordFunc func(number int64) (journal.Record, error)) (Entry, error) {
	e := Entry{WindowID: o.Window.ID}
	for _, n := range o.Records(seq) {
		r, err := recordFunc(n)
		if err != nil {
			return e, err
		}
		t, err := tell(r)
		if err != nil {
			return e, err
		}
		t.into(&e)
	}
	return e, nil
}

// A told is what one record tells.
type told struct {
	recordBody
	head  Head
	draft Draft // of Draft
}

func tell(r journal.Record) (*told, error) {
	t := &told{}
	if err := json.Unmarshal(r.Body, &t.recordBody); err != nil {
		return nil, fmt.Errorf("read record %d: %w", r.Number, err)
	}
	t.head = Head{Number: t.Number, Hash: r.Hash}
	if t.Entry != nil && len(t.Draft) > 0 {
		var err error
		if t.draft, err = DecodeDraft(t.Draft); err != nil {
			return nil, fmt.Errorf("rebuild from record %d: %w", r.Number, err)
		}
	}
	return t, nil
}

// into makes of an entry what the record tells of it.
func (t *told) into(e *Entry) {
	if len(t.Draft) > 0 {
		e.Draft = t.draft
	}
	t.Entry.into(e)
	e.Journal = t.head
	if a := t.Attempt; a != nil {
		for len(e.Attempts) < a.N-1 { // a later record tells of these
			e.Attempts = append(e.Attempts, Attempt{})
		}
		e.Attempts = putAttempt(e.Attempts, Attempt(*a))
	}
}
