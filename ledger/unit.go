package ledger

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// A unit is one unit of work: a transaction under a window's fence, its one time, and who asks.
type unit struct {
	Tx
	now   time.Time
	actor Actor
	trace Trace
	op    string
}

// update runs fn under the fence of one window. With a [Once] in ctx it happens at most once, and
// the first answer is stored in the same transaction.
func update[T any](ctx context.Context, l *Ledger, op string, windowID uuid.UUID, fn func(*unit) (T, error)) (T, error) {
	var out T
	err := l.store.Update(forOp(ctx, op), windowID, func(tx Tx) error {
		v, err := perform(ctx, l, op, tx, fn)
		out = v
		return err
	})
	return out, l.told(ctx, op, windowID, err)
}

func perform[T any](ctx context.Context, l *Ledger, op string, tx Tx, fn func(*unit) (T, error)) (T, error) {
	var none T
	u := &unit{Tx: tx, now: l.clock.Now(), actor: ActorOf(ctx), trace: TraceOf(ctx), op: op}
	once := onceOf(ctx)
	if once != nil {
		if err := u.checkReplay(once); err != nil {
			return none, err
		}
	}
	v, err := fn(u)
	if err != nil {
		return none, err
	}
	if once == nil {
		return v, nil
	}
	reply, err := once.RenderFunc(v)
	if err != nil {
		return none, err
	}
	reply.RequestHash, reply.At = once.RequestHash, u.now
	return v, u.SaveReply(once.Key, reply)
}

func (u *unit) checkReplay(o *Once) error {
	r, err := u.FindReply(o.Key)
	if err != nil {
		return err
	}
	return o.against(r)
}

// told wakes the readers of the journal after a change and logs what the domain decided.
func (l *Ledger) told(ctx context.Context, op string, windowID uuid.UUID, err error) error {
	if err == nil {
		l.feed.grown(windowID)
		return nil
	}
	if code := CodeOf(err); code == CodeConflict || code == CodeStale {
		l.log.InfoContext(ctx, "refused", slog.String("op", op), slog.String("window_id", windowID.String()), slog.String("err", err.Error()))
	}
	return err
}

// record appends one record to the window's journal.
func (u *unit) record(b recordBody) (Head, error) {
	b.Number, b.At, b.WindowID, b.Actor = u.Window().Head.Number+1, u.now, u.Window().ID, u.actor.TokenID
	raw, err := encode(b)
	if err != nil {
		return Head{}, &Error{Code: CodeInternal, Op: u.op, Err: err}
	}
	r := journal.Record{Number: b.Number, Kind: b.Kind, At: u.now, Body: raw}
	if b.EntryID != uuid.Nil {
		r.EntryID = b.EntryID.String()
	}
	if b.RollbackID != uuid.Nil {
		r.RollbackID = b.RollbackID.String()
	}
	return u.Append(r)
}

// moveWindow moves the window along its table and says so in the journal.
func (u *unit) moveWindow(to WindowState, note string) error {
	w := u.Window()
	if !w.State.MayBecome(to) {
		return Conflict(u.op, w.ID.String(), "the window is %s; it cannot become %s", w.State, to)
	}
	w.State = to
	return u.noteWindow("window."+string(to), note)
}

// noteWindow writes the window as it is now into the journal.
func (u *unit) noteWindow(kind, note string) error {
	_, err := u.record(recordBody{Kind: kind, Note: note, RollbackID: u.Window().RollbackID, Window: windowToJSON(u.Window())})
	return err
}

// A moved says what a move of an entry writes beside the entry itself.
type moved struct {
	note    string   // a person's or the runner's words
	attempt *Attempt // the attempt that this move opens or ends
	draft   bool     // the entry's content changed too: resource, images
}

// moveEntry moves an entry along its table: one guarded update and one journal record.
func (u *unit) moveEntry(e *Entry, to EntryState, m moved) error {
	from := e.State
	if !from.MayBecome(to) {
		return Conflict(u.op, e.ID.String(), "the entry is %s; it cannot become %s", from, to)
	}
	e.State = to
	return u.saveEntry("entry."+string(to), e, from, m)
}

// touchEntry saves an entry whose state stays, with one journal record.
func (u *unit) touchEntry(kind string, e *Entry, m moved) error {
	return u.saveEntry(kind, e, e.State, m)
}

func (u *unit) saveEntry(kind string, e *Entry, from EntryState, m moved) error {
	body := recordBody{Kind: kind, Note: m.note, EntryID: e.ID, RollbackID: e.RollbackID, Entry: entryToJSON(e)}
	if m.attempt != nil {
		body.Attempt = attemptToJSON(m.attempt)
		if err := u.SaveAttempt(e.ID, *m.attempt); err != nil {
			return err
		}
	}
	if m.draft {
		raw, err := EncodeDraft(&e.Draft)
		if err != nil {
			return &Error{Code: CodeInternal, Op: u.op, Err: err}
		}
		body.Draft = raw
	}
	head, err := u.record(body)
	if err != nil {
		return err
	}
	e.Journal = head
	return u.SaveEntry(e, from)
}

// insertEntry gives a new entry its number and records it with its whole content.
func (u *unit) insertEntry(e *Entry) error {
	raw, err := EncodeDraft(&e.Draft)
	if err != nil {
		return &Error{Code: CodeInternal, Op: u.op, Err: err}
	}
	w := u.Window()
	w.LastSeq++
	e.Seq = w.LastSeq
	head, err := u.record(recordBody{Kind: "entry.recorded", EntryID: e.ID, Entry: entryToJSON(e), Draft: raw})
	if err != nil {
		return err
	}
	e.Journal = head
	return u.InsertEntry(e)
}

// findEntry returns an entry of this window; CodeNotFound if there is none.
func (u *unit) findEntry(id uuid.UUID) (*Entry, error) {
	e, _, err := u.FindEntry(id)
	if err == nil && e == nil {
		err = NotFound("entry", id.String())
	}
	return e, err
}

// saveRollback writes a run back under its epoch, with a journal record.
func (u *unit) saveRollback(kind string, r *Rollback, epoch int64, note string) error {
	if _, err := u.record(recordBody{Kind: kind, Note: note, RollbackID: r.ID, Rollback: rollbackToJSON(r)}); err != nil {
		return err
	}
	return u.SaveRollback(r, epoch)
}

func (u *unit) moveRollback(r *Rollback, to RollbackState, note string) error {
	if !r.State.MayBecome(to) {
		return Conflict(u.op, r.ID.String(), "the rollback is %s; it cannot become %s", r.State, to)
	}
	r.State = to
	if to != RollbackWaiting {
		r.Waiting = nil
	}
	return u.saveRollback("rollback."+string(to), r, r.Epoch, note)
}
