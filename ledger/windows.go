package ledger

import (
	"context"

	"github.com/google/uuid"
)

// A WindowView is a window with its counts.
type WindowView struct {
	Window
	Counts   Counts
	Warnings []string // of a window that is being opened: about the credentials of systems
}

// OpenWindow opens a window. Codes: invalid.
func (l *Ledger) OpenWindow(ctx context.Context, d WindowDraft) (*WindowView, error) {
	if err := checkWindow(&d); err != nil {
		return nil, err
	}
	if d.Snapshot != "" && l.mortal {
		return nil, Invalid("/snapshot", "a snapshot that is restored over this ledger takes it back too: give the ledger a `mirror:` in its "+
			"configuration, or say `outside_snapshot: true` there if no snapshot is ever restored over it; or leave this field out")
	}
	var err error
	if d.Restore, err = l.checkRestore(d.Restore); err != nil {
		return nil, err
	}
	known := l.checkAll(ctx)
	w := Window{WindowDraft: d, ID: NewID(), State: WindowOpen, CreatedAt: l.clock.Now()}
	var out *WindowView
	err = l.store.Open(ctx, w, func(tx Tx) error {
		v, err := perform(ctx, l, "open window", tx, func(u *unit) (*WindowView, error) {
			if err := checkExpected(ctx, u.op, w.ID.String(), Head{}); err != nil { // nothing is there that could match
				return nil, err
			}
			if err := u.noteWindow("window.opened", ""); err != nil {
				return nil, err
			}
			return &WindowView{Window: *u.Window(), Warnings: credentialWarnings(known, &w, u.now)}, nil
		})
		out = v
		return err
	})
	return out, l.told(ctx, "open window", w.ID, err)
}

func checkWindow(d *WindowDraft) error {
	for _, f := range []struct {
		name, value string
		required    bool
	}{{"/name", d.Name, true}, {"/ticket", d.Ticket, false}, {"/owner", d.Owner, false}, {"/snapshot", d.Snapshot, false}} {
		if err := checkText(f.name, f.value, f.required, maxName); err != nil {
			return err
		}
	}
	for k, v := range d.Labels {
		if checkText("/labels", k, true, maxName) != nil || checkText("/labels", v, false, maxName) != nil || len(d.Labels) > 100 {
			return Invalid("/labels", "at most 100 labels with names and values of at most %d characters", maxName)
		}
	}
	switch {
	case !d.EndsAt.IsZero() && !d.OpensAt.IsZero() && !d.EndsAt.After(d.OpensAt):
		return Invalid("/ends_at", "want a time after opens_at")
	case d.Buffer < 0:
		return Invalid("/buffer", "want a duration of 0s or more")
	}
	return nil
}

// Window returns a window with its counts. Codes: not_found.
func (l *Ledger) Window(ctx context.Context, id uuid.UUID) (*WindowView, error) {
	w, err := l.store.FindWindow(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := l.store.CountEntries(ctx, id, Selection{})
	return viewOfWindow(w, c), err
}

// Windows lists windows with their counts, newest first; none is an empty list.
func (l *Ledger) Windows(ctx context.Context, q WindowQuery) ([]WindowView, error) {
	list, err := l.store.ListWindows(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]WindowView, 0, len(list))
	for _, w := range list {
		c, err := l.store.CountEntries(ctx, w.ID, Selection{})
		if err != nil {
			return nil, err
		}
		out = append(out, *viewOfWindow(&w, c))
	}
	return out, nil
}

// viewOfWindow counts what was removed with what is here.
func viewOfWindow(w *Window, c Counts) *WindowView {
	if w.Pruned != nil {
		c = c.plus(w.Pruned.Counts)
	}
	return &WindowView{Window: *w, Counts: c}
}

// Seal closes the window to new intents. It never refuses over unresolved ones. Sealing a sealed window
// changes nothing; a kept one is given back by Reopen alone. Codes: not_found, conflict, stale.
func (l *Ledger) Seal(ctx context.Context, id uuid.UUID, reason string) (*WindowView, error) {
	const op = "seal window"
	return l.turnWindow(ctx, op, id, reason, func(s WindowState) (WindowState, error) {
		if s == WindowKept {
			return s, Conflict(op, id.String(), "the window is kept; reopen gives its effects back, to sealed")
		}
		return WindowSealed, nil
	})
}

// Reopen takes a seal back, or gives back the effects of a kept window (to sealed).
// Codes: not_found, conflict, stale.
func (l *Ledger) Reopen(ctx context.Context, id uuid.UUID, reason string) (*WindowView, error) {
	return l.turnWindow(ctx, "reopen window", id, reason, func(s WindowState) (WindowState, error) {
		if s == WindowKept {
			return WindowSealed, nil
		}
		return WindowOpen, nil
	})
}

// Keep accepts the upgrade: the window's effects stay. Codes: not_found, conflict, stale.
func (l *Ledger) Keep(ctx context.Context, id uuid.UUID, reason string) (*WindowView, error) {
	return l.turnWindow(ctx, "keep window", id, reason, func(WindowState) (WindowState, error) { return WindowKept, nil })
}

func (l *Ledger) turnWindow(ctx context.Context, op string, id uuid.UUID, reason string, toFunc func(WindowState) (WindowState, error)) (*WindowView, error) {
	if err := checkText("/reason", reason, false, maxText); err != nil {
		return nil, err
	}
	return update(ctx, l, op, id, func(u *unit) (*WindowView, error) {
		w := u.Window()
		if err := checkExpected(ctx, op, id.String(), w.Head); err != nil {
			return nil, err
		}
		to, err := toFunc(w.State)
		if err != nil {
			return nil, err
		}
		if err := u.turn(to, reason); err != nil {
			return nil, err
		}
		c, err := u.Count(Selection{})
		return viewOfWindow(w, c), err
	})
}

// turn is an operator's move of the window: one that it has made already is no error, and one that
// belongs to the runner is.
func (u *unit) turn(to WindowState, reason string) error {
	w := u.Window()
	if w.State == to {
		return nil
	}
	if w.State == WindowStuck || w.State == WindowRollingBack || w.State == WindowRolledBack {
		return Conflict(u.op, w.ID.String(), "the window is %s", w.State)
	}
	if to == WindowKept {
		if err := u.noRunning(w.RollbackID); err != nil {
			return err
		}
	}
	if to == WindowSealed && w.State == WindowOpen {
		w.SealedAt = u.now
	}
	return u.moveWindow(to, reason)
}

// noRunning refuses while a partial rollback works in the window.
func (u *unit) noRunning(id uuid.UUID) error {
	if id == uuid.Nil {
		return nil
	}
	r, err := u.FindRollback(id)
	if err == nil && !r.State.Over() {
		err = Conflict(u.op, u.Window().ID.String(), "a rollback is %s; wait for its end or cancel it", r.State)
	}
	return err
}
