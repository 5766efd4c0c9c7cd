package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sideledger/ledger"
)

type rollbackOptions struct {
	configFlags
	window string
	reason string

	restore    bool
	parallel   int
	withoutKey bool
}

func newRollback(e *env) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use: "rollback --window ID", Short: "Roll a window back with no server running, straight on the database", Args: cobra.NoArgs,
		Long: `Rolls a window back with no server running: the same run as through the API, straight on the database.
An embedded ledger refuses it beside a server; on PostgreSQL it may run beside servers, and watches a run that one of them
has. An interrupted run goes on when a server starts, or when this is called again.

Exit status: 0 nothing is left open, 1 error, 3 a person is needed, 5 some undo failed or is blocked, 8 the run is not over.`,
		Example: "  ledgerd rollback --config ledgerd.yaml --window 0199…\n  ledgerd rollback --config ledgerd.yaml --window 0199… --restore-snapshot",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRollback(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.window, "window", "", "the window to roll back")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; stands in the journal")
	cmd.Flags().BoolVar(&o.withoutKey, "without-secrets-key", false, "run although the key of secret fields is not here: entries with such fields end blocked")
	cmd.Flags().IntVar(&o.parallel, "parallel", 1, "undo at up to this many systems at once (64 at most): each newest first, depends_on is kept over all")
	cmd.Flags().BoolVar(&o.restore, "restore-snapshot", false, "restore the window's snapshot in the same run")
	return cmd
}

func runRollback(ctx context.Context, e *env, o *rollbackOptions) error {
	id, err := uuid.Parse(o.window)
	if err != nil {
		return fmt.Errorf("--window: want a window's id")
	}
	return alone(ctx, e, &o.configFlags, opening{closed: o.withoutKey}, func(p *parts) error {
		return p.attending(ctx, func(ctx context.Context) error {
			if err := p.watch(ctx, e, false); err != nil {
				return err
			}
			return p.rollBack(ctx, e, id, o)
		})
	})
}

// rollBack runs one rollback to its end.
func (p *parts) rollBack(ctx context.Context, e *env, window uuid.UUID, o *rollbackOptions) error {
	ctx = ledger.WithActor(ctx, ledger.Actor{TokenID: "local", Role: ledger.RoleAdmin})
	started, err := p.ledger.StartRollback(ctx, window, ledger.RollbackRequest{Reason: o.reason, RestoreSnapshot: o.restore, Parallel: o.parallel})
	if err != nil {
		return err
	}
	if started.State == ledger.RollbackPaused {
		if _, err := p.ledger.Resume(ctx, started.ID); err != nil {
			return err
		}
	}
	p.newRunner(nil, false).RunOne(ctx, started.ID)
	return report(context.WithoutCancel(ctx), e, p.ledger, started.ID)
}

// report prints what became of the run and returns its exit status.
func report(ctx context.Context, e *env, l *ledger.Ledger, id uuid.UUID) error {
	r, err := l.Rollback(ctx, id)
	if err != nil {
		return err
	}
	n := r.Counts
	_, _ = fmt.Fprintf(e.stdout, "rollback %s %s: %d undone, %d already undone, %d compensated, %d unverified, %d by hand, %d waived, %d retained, %d void, %d stuck, %d remaining\n",
		r.ID, r.State, n.Undone, n.AlreadyUndone, n.Compensated, n.Unverified, n.ByHand, n.Waived, n.Retained, n.Void, n.Stuck, n.Remaining)
	if !r.State.Over() {
		return exitError{exitRunning}
	}
	if n.Open() == 0 {
		return nil
	}
	list, err := l.Entries(ctx, ledger.EntryQuery{WindowID: r.WindowID, States: []ledger.EntryState{ledger.EntryStuck}, Desc: true, Limit: ledger.MaxBatch})
	if err != nil {
		return err
	}
	code := exitPerson
	if len(list) == 0 {
		code = exitFailed
	}
	for i := range list {
		s := &list[i]
		if s.Reason == ledger.ReasonFailed || s.Reason == ledger.ReasonBlocked {
			code = exitFailed
		}
		_, _ = fmt.Fprintf(e.stdout, "entry %d %s %s: %s, %s\n  %s\n", s.Seq, s.System, s.Kind, s.Reason, s.Detail, s.Next())
	}
	return exitError{code}
}
