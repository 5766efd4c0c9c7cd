package ledger

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// recordOf is a record of a window's journal.
func recordOf(t *testing.T, body recordBody) journal.Record {
	t.Helper()
	raw, err := encode(body)
	if err != nil {
		t.Fatal(err)
	}
	return journal.Record{Number: body.Number, Kind: body.Kind, Body: raw, Hash: journal.Chain([32]byte{}, raw)}
}

func draftOf(t *testing.T, id uuid.UUID, note string) []byte {
	t.Helper()
	raw, err := EncodeDraft(&Draft{ID: id, Note: note})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// An entry that is made of few records is what all of them tell, in whatever order they came: many entries, some with several
// attempts whose ends are told late, some with a second draft.
func TestOutlineTellsTheEntries(t *testing.T) {
	rnd := rand.New(rand.NewPCG(20261128, 5))
	var o Outline
	records, want := map[int64]journal.Record{}, []Entry{}
	window, at := NewID(), time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for number := int64(1); number <= 12_000; number++ {
		body := recordBody{Number: number, Kind: "entry.touched", WindowID: window}
		if len(want) == 0 || rnd.IntN(4) == 0 {
			want = append(want, Entry{Draft: Draft{ID: NewID()}, WindowID: window, Seq: len(want) + 1, RecordedAt: at})
			body.Draft = draftOf(t, want[len(want)-1].ID, "")
		}
		e := &want[len(want)-1]
		if body.Draft == nil {
			e = &want[len(want)-1-rnd.IntN(min(len(want), 40))]
			switch rnd.IntN(4) {
			case 0:
				e.Note = fmt.Sprint(number)
				body.Draft = draftOf(t, e.ID, e.Note)
			case 1, 2:
				a := Attempt{N: 1 + rnd.IntN(len(e.Attempts)+1), StartedAt: at, Detail: fmt.Sprint(number)}
				e.Attempts, body.Attempt = putAttempt(e.Attempts, a), attemptToJSON(&a)
			}
		}
		e.Detail = fmt.Sprint(number)
		body.EntryID, body.Entry = e.ID, entryToJSON(e)
		r := recordOf(t, body)
		e.Journal, records[number] = Head{Number: number, Hash: r.Hash}, r
		if err := o.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	if len(want) < 2*traceBlock || o.First() != 1 || o.Window.LastSeq != len(want) {
		t.Fatalf("%d entries, from %d to %d", len(want), o.First(), o.Window.LastSeq)
	}
	asked := 0
	for i := range want {
		got, err := o.Entry(i+1, func(n int64) (journal.Record, error) { asked++; return records[n], nil })
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[i], got); d != "" {
			t.Fatalf("entry %d: %s", i+1, d)
		}
	}
	if asked >= len(records) {
		t.Errorf("%d records were asked for, of %d", asked, len(records))
	}
}

// What does not follow from what was told before is refused.
func TestOutlineRefuses(t *testing.T) {
	id, other := NewID(), NewID()
	first := recordBody{Number: 1, EntryID: id, Entry: &entryJSON{Seq: 1}, Attempt: &attemptJSON{N: 1}}
	for want, body := range map[string]recordBody{
		"is not entry 3 of 1":           {EntryID: other, Entry: &entryJSON{Seq: 3}},
		"is not entry 1 of 1":           {EntryID: other, Entry: &entryJSON{Seq: 1}},
		"is not entry 0 of 1":           {EntryID: id, Entry: &entryJSON{}},
		"attempt 3 of entry 1":          {EntryID: id, Entry: &entryJSON{Seq: 1}, Attempt: &attemptJSON{N: 3}},
		"attempt 0 of entry 1":          {EntryID: id, Entry: &entryJSON{Seq: 1}, Attempt: &attemptJSON{}},
		"attempt 2 of entry 2":          {EntryID: other, Entry: &entryJSON{Seq: 2}, Attempt: &attemptJSON{N: 2}},
		"does not say what was removed": {Kind: journal.KindPruned},
		"rebuild from record 2: ":       {EntryID: id, Entry: &entryJSON{Seq: 1}, Draft: []byte(`{"id":7}`)},
	} {
		var o Outline
		if err := o.Apply(recordOf(t, first)); err != nil {
			t.Fatal(err)
		}
		body.Number = 2
		if err := o.Apply(recordOf(t, body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
