package api

import (
	"context"
	"net/http"

	"sideledger/api/wire"
	"sideledger/ledger"
)

func (a *API) startRollback(ctx context.Context, in *call, b *wire.RollbackRequest) (*ledger.RollbackView, error) {
	r, err := a.ledger.StartRollback(ctx, in.id, ledger.RollbackRequest{
		SelectRequest: ledger.SelectRequest{Only: b.Only, Exclude: b.Exclude, ToEntry: string(b.ToEntry), ToTag: b.ToTag},
		Reason:        b.Reason, Plan: b.Plan, OnStuck: ledger.OnStuck(b.OnStuck), Parallel: b.Parallel,
		RestoreSnapshot: b.RestoreSnapshot,
	})
	if err == nil {
		a.metrics.rollbacks.Inc()
	}
	return r, err
}

// awaitRollback waits for the end of the run, for as long as the caller prefers.
func (a *API) awaitRollback(ctx context.Context, in *call, r *ledger.RollbackView) (*ledger.RollbackView, error) {
	if in.prefer == 0 {
		return r, nil
	}
	err := a.await(ctx, r.WindowID, in.prefer, func() (bool, error) {
		if r.State.Over() {
			return true, nil
		}
		now, err := a.ledger.Rollback(ctx, r.ID)
		if err != nil {
			return false, err
		}
		r = now
		return r.State.Over(), nil
	})
	return r, err
}

// getRollback reads the rollback after its window's head, which is its ETag: what is shown is never
// older than the tag says.
func (a *API) getRollback(ctx context.Context, in *call) (answer, error) {
	r, err := a.ledger.Rollback(ctx, in.id)
	if err != nil {
		return answer{}, err
	}
	w, err := a.ledger.Window(ctx, r.WindowID)
	if err != nil {
		return answer{}, err
	}
	if r, err = a.ledger.Rollback(ctx, in.id); err != nil {
		return answer{}, err
	}
	ans := rollbackAnswer(r)
	ans.version = w.Head.Number
	return ans, nil
}

func (a *API) pauseRollback(ctx context.Context, in *call, _ *struct{}) (*ledger.RollbackView, error) {
	return a.ledger.Pause(ctx, in.id)
}

func (a *API) resumeRollback(ctx context.Context, in *call, _ *struct{}) (*ledger.RollbackView, error) {
	return a.ledger.Resume(ctx, in.id)
}

func (a *API) cancelRollback(ctx context.Context, in *call, _ *struct{}) (*ledger.RollbackView, error) {
	return a.ledger.Cancel(ctx, in.id)
}

func (a *API) confirmRollback(ctx context.Context, in *call, b *wire.ConfirmRequest) (*ledger.RollbackView, error) {
	return a.ledger.Confirm(ctx, in.id, b.System, b.Reason)
}

func rollbackAnswer(r *ledger.RollbackView) answer { return answer{body: rollbackToWire(r)} }

func rollbackStarted(r *ledger.RollbackView) answer {
	ans := rollbackAnswer(r)
	ans.header = map[string]string{"Location": "/v1/rollbacks/" + r.ID.String()}
	if !r.State.Over() {
		ans.status = http.StatusAccepted
	}
	return ans
}

func rollbackToWire(r *ledger.RollbackView) wire.Rollback {
	out := wire.Rollback{
		ID: r.ID.String(), WindowID: r.WindowID.String(), State: string(r.State), Complete: r.Complete, Partial: r.Partial(),
		Counts: countsToWire(r.Counts), Only: termsToWire(r.Select.Only), Exclude: termsToWire(r.Select.Exclude), ToEntry: r.Select.After,
		OnStuck: string(r.OnStuck), Parallel: max(1, r.Parallel), RequestedBy: r.RequestedBy, Reason: r.Reason, CreatedAt: r.CreatedAt,
		StartedAt: maybeTime(r.StartedAt), FinishedAt: maybeTime(r.FinishedAt), SecondWords: []wire.SecondWord{}, Held: []wire.Held{},
		RestoreSnapshot: r.RestoreSnapshot, TraceID: r.Trace.ID(),
	}
	for _, w := range r.Words {
		out.SecondWords = append(out.SecondWords, wire.SecondWord{
			System: w.System, Detail: w.Detail, AskedAt: w.AskedAt, By: w.By, Reason: w.Reason, GivenAt: maybeTime(w.GivenAt),
		})
	}
	for _, h := range r.Held {
		out.Held = append(out.Held, wire.Held{EntryID: h.EntryID.String(), Seq: h.Seq, By: h.By, Selected: h.Selected})
	}
	if w := r.Waiting; w != nil {
		out.Waiting = &wire.Waiting{Why: w.Why, Until: maybeTime(w.Until), On: w.On}
	}
	return out
}

func termsToWire(terms []ledger.Term) []string {
	out := make([]string, 0, len(terms))
	for _, t := range terms {
		out = append(out, t.String())
	}
	return out
}
