package ledger

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// DetailRestored is what an entry's attempts say after a recovery.
const DetailRestored = "the ledger was restored: an undo that it does not know of may have been sent"

// recoverPage is how many entries are marked in one transaction.
const recoverPage = 500

// epochJump is how far a recovery moves a run's epoch, so that a runner of the lost time never holds a lease again.
const epochJump = 1 << 20

// Recover makes a window of a restored ledger safe to go on with: every open entry gets an attempt that nobody knows the
// outcome of, so that it is looked at before anything is sent, and a person is asked where no look can tell or where
// sending twice is not safe; an unfinished rollback waits for its resume; note stands in the journal. It returns how many
// entries it marked. It may be called again: what is marked is not marked twice. Codes: not_found.
func (l *Ledger) Recover(ctx context.Context, windowID uuid.UUID, note string) (int, error) {
	marked := 0
	for from := 0; ; {
		page, err := l.store.ListEntries(ctx, EntryQuery{WindowID: windowID, OpenOnly: true, From: from, Limit: recoverPage})
		if err != nil {
			return marked, err
		}
		if len(page) == 0 {
			break
		}
		n, err := update(ctx, l, "recover window", windowID, func(u *unit) (int, error) { return u.doubt(page) })
		if err != nil {
			return marked, err
		}
		marked += n
		from = page[len(page)-1].Seq
	}
	_, err := update(ctx, l, "recover window", windowID, func(u *unit) (int, error) {
		if err := u.halt(); err != nil {
			return 0, err
		}
		if note == "" && marked == 0 {
			return 0, nil
		}
		if note != "" {
			note = ": " + note
		}
		return 0, u.noteWindow("window.recovered", fmt.Sprintf("%d open entries are looked at before anything is sent%s", marked, note))
	})
	return marked, err
}

// doubt gives open entries an attempt that nobody knows the outcome of, unless their last one is such already.
func (u *unit) doubt(page []Entry) (int, error) {
	marked := 0
	for i := range page {
		e, err := u.findEntry(page[i].ID)
		if err != nil {
			return 0, err
		}
		if n := len(e.Attempts); e.Closed() || n > 0 && (e.Attempts[n-1].Open() || e.Attempts[n-1].Detail == DetailRestored) {
			continue
		}
		a := Attempt{
			N: len(e.Attempts) + 1, RollbackID: e.RollbackID, StartedAt: u.now, EndedAt: u.now,
			Result: string(CallAmbiguous), Detail: DetailRestored,
		}
		if err := u.touchEntry("entry.doubted", e, moved{attempt: &a, note: DetailRestored}); err != nil {
			return 0, err
		}
		marked++
	}
	return marked, nil
}

// halt pauses the window's unfinished rollback and takes it from whoever held it.
func (u *unit) halt() error {
	id := u.Window().RollbackID
	if id == uuid.Nil {
		return nil
	}
	r, err := u.FindRollback(id)
	if err != nil || r.State.Over() || r.State == RollbackPaused {
		return err
	}
	old := r.Epoch
	r.Epoch, r.Holder, r.State, r.Waiting = old+epochJump, "", RollbackPaused, nil
	return u.saveRollback("rollback."+string(RollbackPaused), r, old, "the ledger was restored: it goes on when an operator resumes it")
}
