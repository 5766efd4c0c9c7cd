package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sideledger/ledger"
)

// expiredPage is how many windows are read at once.
const expiredPage = 100

type pruneOptions struct {
	configFlags
	olderThan string
	yes       bool
}

func newPrune(e *env) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use: "prune --older-than AGE", Short: "Remove what finished windows hold, past their time", Args: cobra.NoArgs,
		Long: `Lists the windows that are rolled back or kept, have no open entry, and in which nothing happened for AGE; with --yes it removes
their entries, attempts, runs but the last, and their journals up to a record that says so. The windows themselves stay, with
their counts, and take in late facts as before. What mirrors have stays there. The server does the same by itself where the
configuration has retention. It runs while no server runs on an embedded ledger.`,
		Example: "  ledgerd prune --older-than 400d --config ledgerd.yaml\n  ledgerd prune --older-than 400d --config ledgerd.yaml --yes",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.olderThan, "older-than", "", "how long nothing happened in them, such as 400d or 9600h")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "remove them")
	return cmd
}

func runPrune(ctx context.Context, e *env, o *pruneOptions) error {
	age, err := parseAge(o.olderThan)
	if err != nil || age < 0 {
		return errors.New("--older-than: want an age such as 400d or 9600h")
	}
	return alone(ctx, e, &o.configFlags, opening{closed: true}, func(p *parts) error {
		if o.yes {
			if err := p.mayPrune(ctx, e); err != nil {
				return err
			}
		}
		before, n := time.Now().Add(-age), 0
		said := "would be removed"
		if o.yes {
			said = "removed"
		}
		err := p.expired(ctx, before, func(w ledger.Window) error {
			if o.yes {
				if _, err := p.ledger.Prune(ctx, w); err != nil {
					return err
				}
			}
			n++
			_, err := fmt.Fprintf(e.stdout, "%s  %-11s  %d entries  %s  %s\n", w.ID, w.State, w.LastSeq, w.Name, said)
			return err
		})
		if err == nil && n == 0 {
			_, err = fmt.Fprintf(e.stderr, "nothing: no window that is rolled back or kept, with no entry open, has been at rest for %s\n", o.olderThan)
		}
		if err != nil || !o.yes {
			return err
		}
		_, err = p.ledger.RemovePruned(ctx)
		return err
	})
}

// mayPrune refuses in safe mode: what is here is evidence then.
func (p *parts) mayPrune(ctx context.Context, e *env) error {
	if err := p.watch(ctx, e, false); err != nil {
		return err
	}
	if safe := p.vigil.Safe(); safe != nil {
		return safe.Err("prune")
	}
	return nil
}

// retain removes what is past its time, if the configuration says that anything ever is. What was recorded without the mirror is
// the only copy: nothing is removed then, nor in safe mode, where what is here is evidence.
func (p *parts) retain(ctx context.Context) error {
	keep, err := p.config.retention()
	if err != nil || keep == 0 || p.vigil.Safe() != nil || p.vigil.Warning() != "" {
		return err
	}
	err = p.expired(ctx, time.Now().Add(-keep), func(w ledger.Window) error {
		gone, err := p.ledger.Prune(ctx, w)
		switch {
		case ledger.CodeOf(err) == ledger.CodeConflict:
			return nil // something happened in it meanwhile
		case err != nil:
			return err
		}
		p.log.InfoContext(ctx, "window pruned", slog.String("window_id", w.ID.String()), slog.Int("entries", gone.LastSeq))
		return nil
	})
	_, removeErr := p.ledger.RemovePruned(ctx)
	return errors.Join(err, removeErr)
}

// expired calls each with every window that is past its time, oldest first.
func (p *parts) expired(ctx context.Context, before time.Time, each func(ledger.Window) error) error {
	for after := uuid.Nil; ; {
		list, err := p.ledger.Expired(ctx, before, after, expiredPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, w := range list {
			if err := each(w); err != nil {
				return err
			}
			after = w.ID
		}
	}
}
