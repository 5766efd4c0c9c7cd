package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"sideledger/ledger/heads"
	"sideledger/ledger/journal"
)

type verifyOptions struct {
	configFlags
	head string
	key  string
	from string
}

func newVerify(e *env) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use: "verify", Short: "Check the whole ledger: chains, rows, signed heads", Args: cobra.NoArgs,
		Long: `Recomputes every chain from the stored bytes, compares every row of windows, entries, attempts and rollbacks with what the
journal tells, and compares the journals with the signed heads: the newest one of the ledger itself, those of every mirror
that can be read, and one that you kept (--head). It names the first bad record of each window. It changes nothing and may
run beside a server.

Not covered: tokens, first answers of Idempotency-Keys; records after the newest signed head that is kept elsewhere; and whether
a script recorded all that it did.

Exit status: 0 all is well, 1 error, 5 something does not hold together.`,
		Example: "  ledgerd verify --config ledgerd.yaml\n  ledgerd verify --database sqlite:copy.db --head head.note --key \"$(cat ledger.pub)\" --from /mnt/mirror",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.head, "head", "", "`FILE` with a signed head that was kept elsewhere, as rollback journal head prints it")
	cmd.Flags().StringVar(&o.key, "key", "", "public half of the key that signed it; none: the key that the ledger names, which whoever wrote the database may have changed")
	cmd.Flags().StringVar(&o.from, "from", "", "folder of a mirror, besides the configured ones")
	return cmd
}

func runVerify(ctx context.Context, e *env, o *verifyOptions) error {
	c, err := o.load()
	if err != nil {
		return err
	}
	p, err := openParts(ctx, e, c, opening{closed: true})
	if err != nil {
		return err
	}
	defer p.close()
	var kept string
	if o.head != "" {
		raw, err := os.ReadFile(o.head)
		if err != nil {
			return fmt.Errorf("--head: %w", err)
		}
		kept = string(raw)
	}
	dirs := []string{}
	for _, m := range c.Mirror {
		if m.Folder != "" {
			dirs = append(dirs, m.Folder)
		}
	}
	if o.from != "" {
		dirs = append(dirs, o.from)
	}
	bad, err := p.verify(ctx, e, verifyWith{note: kept, key: o.key, dirs: dirs})
	if err != nil {
		return err
	}
	for _, d := range bad {
		_, _ = fmt.Fprintln(e.stdout, "BAD  "+d.String())
	}
	if len(bad) > 0 {
		return exitError{exitFailed}
	}
	_, err = fmt.Fprintln(e.stdout, "OK")
	return err
}

// verifyWith is what a ledger is compared with.
type verifyWith struct {
	note string   // a signed head that was kept elsewhere; empty: none
	key  string   // public half of the key that signed it; empty: the key that the ledger names
	dirs []string // folders of mirrors
}

// verify checks the whole ledger; none: all is well.
func (p *parts) verify(ctx context.Context, e *env, with verifyWith) ([]journal.Damage, error) {
	bad, err := p.store.Verify(ctx)
	if err != nil {
		return nil, err
	}
	key := with.key
	if key == "" {
		raw, err := p.store.Fact(ctx, factNoteKey)
		if err != nil {
			return nil, err
		}
		key = string(raw)
	}
	var all [][]journal.Damage
	own, err := p.verifyTree(ctx, with.note, key)
	if err != nil {
		return nil, err
	}
	all = append(all, own)
	for _, dir := range with.dirs {
		there, torn, err := p.verifyCopy(ctx, dir, key)
		if err != nil {
			return nil, err
		}
		for _, name := range torn {
			_, _ = fmt.Fprintf(e.stderr, "the last line of %s in %s is not whole, as after a power cut: nobody was answered on it\n", name, dir)
		}
		all = append(all, there)
	}
	return firstBad(bad, all...), nil
}

// firstBad keeps of each window the damage to name: the cause, and then the lowest record.
func firstBad(bad []journal.Damage, more ...[]journal.Damage) []journal.Damage {
	at := map[string]int{}
	var out []journal.Damage
	for _, list := range append([][]journal.Damage{bad}, more...) {
		for _, d := range list {
			i, known := at[d.WindowID]
			switch {
			case d.WindowID == "" || !known:
				at[d.WindowID] = len(out)
				out = append(out, d)
			case d.Before(out[i]):
				out[i] = d
			}
		}
	}
	return out
}

// verifyTree compares the journals with the ledger's own leaves, and those with the newest note and one that was kept.
func (p *parts) verifyTree(ctx context.Context, kept, key string) ([]journal.Damage, error) {
	leaves, err := p.store.Leaves(ctx)
	if err != nil {
		return []journal.Damage{{Problem: err.Error()}}, nil //nolint:nilerr // it is what is wrong with the ledger
	}
	var tree heads.Tree
	if err := tree.Add(leaves...); err != nil {
		return nil, err
	}
	own, err := p.store.Fact(ctx, "note")
	if err != nil {
		return nil, err
	}
	bad, err := p.verifyLeaves(ctx, leaves)
	if err != nil {
		return nil, err
	}
	for _, n := range []struct{ name, text string }{{"the newest signed head", string(own)}, {"the signed head that was kept", kept}} {
		if n.text == "" {
			if len(leaves) > 0 && n.name == "the newest signed head" {
				bad = append(bad, journal.Damage{Problem: "there are leaves, and no signed head"})
			}
			continue
		}
		born, err := p.store.Fact(ctx, factIncarnation)
		if err != nil {
			return nil, err
		}
		if problem := checkNote(n.text, key, string(born), &tree); problem != "" {
			bad = append(bad, journal.Damage{Problem: n.name + ": " + problem})
		}
	}
	return bad, nil
}

// checkNote says what is wrong between a note and the tree; empty: nothing.
func checkNote(text, key, incarnation string, tree *heads.Tree) string {
	c, err := heads.Open(text, key)
	switch {
	case errors.Is(err, heads.ErrForeign):
		return "it is not signed by the ledger's key"
	case err != nil:
		return err.Error()
	case c.Size > tree.Len():
		return fmt.Sprintf("it has %d leaves and the ledger has %d: the ledger is older, or was cut", c.Size, tree.Len())
	}
	root, err := tree.Root(c.Size)
	if err != nil || root != c.Root {
		return fmt.Sprintf("its root over %d leaves is not that of the ledger: a signed leaf was changed or removed (incarnation %s)", c.Size, incarnation)
	}
	return ""
}

// verifyLeaves compares the journals with leaves that were signed.
func (p *parts) verifyLeaves(ctx context.Context, leaves []journal.Leaf) ([]journal.Damage, error) {
	v := &vigil{store: p.store}
	good := map[string]int64{} // the newest leaf of a window that is as it was signed
	var bad []journal.Damage
	for _, l := range leaves {
		m, err := v.look(ctx, l, "signed head")
		switch {
		case err != nil:
			return nil, err
		case m == nil:
			good[l.WindowID] = max(good[l.WindowID], l.Number)
		case m.Fork:
			bad = append(bad, journal.Damage{WindowID: l.WindowID, Number: l.Number, Problem: "it is not the record that was signed; the first bad one is after record " + strconv.FormatInt(good[l.WindowID], 10)})
		case m.Have == 0:
			bad = append(bad, journal.Damage{WindowID: l.WindowID, Number: 1, Problem: fmt.Sprintf("the window is not there; record %d of it was signed", l.Number)})
		default:
			bad = append(bad, journal.Damage{WindowID: l.WindowID, Number: m.Have + 1, Problem: fmt.Sprintf("it is missing; record %d was signed: the tail is cut off", l.Number)})
		}
	}
	return bad, nil
}
