package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

type recoverOptions struct {
	configFlags
	from       string
	acceptLoss bool
	acceptFork bool
}

func newRecover(e *env) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use: "recover", Short: "Bring a ledger in safe mode back", Args: cobra.NoArgs,
		Long: `Brings a ledger back that found itself older than its mirror, or than what a client was answered: as after a restore of its
own host. It takes the missing records from the configured mirrors that can be read and from --from, marks every open entry
so that it is looked at before anything is sent, lets unfinished rollbacks wait for their resume, takes in the facts that
were kept aside, and ends the safe mode. What no mirror has is lost: --accept-loss says that you go on without it, and
that stands in the journal. An effect that was undone in the lost time and has been made again since cannot be told from the
recorded one: where a look shows the after-image, an undo that is safe to repeat is sent again. So look at the plan of each
window before its rollback starts or is resumed. Two histories of one window (a fork) are never put together: --accept-fork keeps the one that
is here. It is refused while a server runs, on PostgreSQL any replica; one that was killed is waited for, 10 s at most.
It may be run again after it was interrupted.

Exit status: 0 recovered, or nothing was missing; 1 error; 3 something is lost, and nothing was changed.`,
		Example: "  ledgerd recover --config ledgerd.yaml\n  ledgerd recover --config ledgerd.yaml --from /mnt/mirror\n  ledgerd recover --config ledgerd.yaml --accept-loss",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRecover(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.from, "from", "", "the folder of one more mirror")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "go on without what no mirror has")
	cmd.Flags().BoolVar(&o.acceptFork, "accept-fork", false, "keep the history that is here where there are two")
	return cmd
}

func runRecover(ctx context.Context, e *env, o *recoverOptions) error {
	return alone(ctx, e, &o.configFlags, opening{recovering: true}, func(p *parts) error {
		r := &recovery{parts: p, env: e, options: o}
		return p.solely(ctx, e, r.run)
	})
}

// A recovery brings one ledger back.
type recovery struct {
	*parts
	env     *env
	options *recoverOptions
	vigil   *vigil
	copies  []*mirrorCopy
	lost    []ledger.Missing // what no mirror has
	forks   []ledger.Missing
}

func (r *recovery) run(ctx context.Context) (err error) {
	if r.vigil, err = r.newVigil(ctx); err != nil {
		return err
	}
	r.parts.vigil = r.vigil
	if err := r.read(ctx); err != nil {
		return err
	}
	if r.store.Safe() == nil {
		_, err := fmt.Fprintln(r.env.stderr, "nothing is missing: the ledger is not in safe mode")
		return err
	}
	if err := r.weigh(ctx); err != nil {
		return err
	}
	if r.refused() {
		return exitError{exitPerson}
	}
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.takeFacts(ctx); err != nil {
		return err
	}
	if err := r.store.LeaveSafe(ctx); err != nil {
		return err
	}
	if len(r.lost) > 0 || len(r.forks) > 0 {
		_, _ = fmt.Fprintln(r.env.stderr, lossWarning)
	}
	_, err = fmt.Fprintln(r.env.stderr, "recovered; the server may be started. Unfinished rollbacks wait for their resume")
	return err
}

// lossWarning says what an accepted loss leaves to the operator.
const lossWarning = "warning: what was undone in the lost time and made again since looks like what is recorded here: its undo is sent again " +
	"if that is safe to repeat and a look shows the after-image. Read `rollback plan --window ID` before you start or resume a rollback; waive what is to stay"

// read reads the mirrors and compares the ledger with them.
func (r *recovery) read(ctx context.Context) error {
	var err error
	if r.vigil.mirrors, err = newMirrors(r.env, r.config); err != nil {
		return err
	}
	have, err := r.have(ctx)
	if err != nil {
		return err
	}
	var dirs []string
	for _, m := range r.config.Mirror {
		if m.Folder != "" {
			dirs = append(dirs, m.Folder)
		}
	}
	if r.options.from != "" && !slices.Contains(dirs, filepath.Clean(r.options.from)) {
		dirs = append(dirs, r.options.from)
	}
	for _, dir := range dirs {
		c, err := readCopy(ctx, dir, have, nil)
		if err != nil {
			return err
		}
		missing, err := r.vigil.missing(ctx, c.name, c.seen)
		if err == nil {
			err = r.store.EnterSafe(ctx, missing...)
		}
		if err != nil {
			return err
		}
		r.copies = append(r.copies, c)
	}
	return nil
}

// weigh sorts what is missing into what a mirror has, what is lost, and forks.
func (r *recovery) weigh(ctx context.Context) error {
	for _, m := range r.store.Safe().Missing {
		if m.WindowID == uuid.Nil && !m.Fork {
			continue // a key or a signed head: what is missing of windows stands beside it
		}
		if err := r.weighOne(ctx, m); err != nil {
			return err
		}
	}
	for _, c := range r.copies {
		for _, d := range c.seen.Damages {
			id, _ := uuid.Parse(d.WindowID)
			r.lost = append(r.lost, ledger.Missing{WindowID: id, Want: d.Number, From: "mirror " + c.name, Detail: "the mirror is damaged: " + d.String()})
		}
	}
	return nil
}

func (r *recovery) weighOne(ctx context.Context, m ledger.Missing) error {
	if m.Fork {
		r.forks = append(r.forks, m)
		return nil
	}
	has, hash, err := r.best(m)
	if err != nil {
		return err
	}
	here, err := r.vigil.look(ctx, journal.Leaf{WindowID: m.WindowID.String(), Number: m.Want, Hash: m.Hash}, m.From)
	switch {
	case err != nil:
		return err
	case here == nil || has && hash == m.Hash:
	case here.Fork || has:
		m.Fork = true
		r.forks = append(r.forks, m)
	default:
		r.lost = append(r.lost, m)
	}
	return nil
}

// best reports whether a mirror has the record that is missing, and its hash there.
func (r *recovery) best(m ledger.Missing) (has bool, hash string, err error) {
	for _, c := range r.copies {
		sum, ok, err := c.seen.HashAt(m.WindowID.String(), m.Want)
		if ok || err != nil {
			return ok, hex.EncodeToString(sum[:]), err
		}
	}
	return false, "", nil
}

// refused says what is lost, or what is there twice, unless that was accepted.
func (r *recovery) refused() bool {
	refused := false
	for _, m := range r.forks {
		if !r.options.acceptFork {
			_, _ = fmt.Fprintln(r.env.stderr, "two histories: "+m.String())
			refused = true
		}
	}
	for _, m := range r.lost {
		if !r.options.acceptLoss {
			_, _ = fmt.Fprintln(r.env.stderr, "lost: "+m.String())
			refused = true
		}
	}
	if refused {
		_, _ = fmt.Fprintln(r.env.stderr, "nothing was changed. Give a mirror that has it with --from; or go on without it with --accept-loss, "+
			"and with --accept-fork keep the history that is here")
	}
	return refused
}

// catchUp takes in what the mirrors have. A loss that was accepted begins a new incarnation: heads that clients keep of the
// lost time count no more, and the signed tree begins anew.
func (r *recovery) catchUp(ctx context.Context) error {
	forked := map[string]bool{}
	for _, m := range r.forks {
		forked[m.WindowID.String()] = true
	}
	keys := r.dataKeys()
	for _, c := range r.copies {
		skipFunc, err := r.leaveOut(ctx, forked)
		if err != nil {
			return err
		}
		if err := c.absorb(ctx, r.store, keys, skipFunc); err != nil {
			return err
		}
	}
	if len(r.lost) == 0 && len(r.forks) == 0 {
		for _, c := range r.copies {
			if err := c.adoptLeaves(ctx, r.store); err != nil {
				return err
			}
		}
	} else if err := r.reborn(ctx); err != nil {
		return err
	}
	if err := r.store.SetFact(ctx, factNoteKey, []byte(r.vigil.key.Verifier())); err != nil {
		return err
	}
	return r.vigil.mirrors.start(ctx, r.store)
}

// dataKeys returns the data keys of entries that the mirrors bring, and says which of those do not open.
func (r *recovery) dataKeys() map[uuid.UUID][]byte {
	sealed := map[uuid.UUID]string{}
	for _, c := range r.copies {
		maps.Copy(sealed, c.sealed)
	}
	data, bad, shut := openDataKeys(r.keyring, sealed, r.copies...)
	for _, d := range bad {
		_, _ = fmt.Fprintln(r.env.stderr, "the mirror is damaged: "+d.String())
	}
	if shut != nil {
		_, _ = fmt.Fprintf(r.env.stderr, "%s: they end blocked until it is there; name it in secrets.previous\n", shut)
	}
	return data
}

// leaveOut says which records of a mirror are not taken in: what is here already, also from an earlier mirror, and windows that have two
// histories.
func (r *recovery) leaveOut(ctx context.Context, forked map[string]bool) (skipFunc func(journal.Mirrored) bool, err error) {
	have, err := r.have(ctx)
	return func(rec journal.Mirrored) bool { return forked[rec.WindowID] || rec.Number <= have[rec.WindowID] }, err
}

// have returns how many records of each window are here.
func (r *recovery) have(ctx context.Context) (map[string]int64, error) {
	local, err := r.store.Heads(ctx)
	have := make(map[string]int64, len(local))
	for _, h := range local {
		have[h.WindowID] = h.Number
	}
	return have, err
}

func (r *recovery) reborn(ctx context.Context) error {
	r.vigil.incarnation++
	if err := r.store.ForgetLeaves(ctx); err != nil {
		return err
	}
	var all []ledger.Missing
	if raw, err := r.store.Fact(ctx, factLosses); err != nil {
		return err
	} else if len(raw) > 0 {
		if err := json.Unmarshal(raw, &all); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(slices.Concat(all, r.lost, r.forks))
	if err != nil {
		return err
	}
	return errors.Join(r.store.SetFact(ctx, factLosses, raw),
		r.store.SetFact(ctx, factIncarnation, []byte(strconv.FormatInt(r.vigil.incarnation, 10))))
}

// settle marks every open entry of every window, and says in the journals what was lost.
func (r *recovery) settle(ctx context.Context) error {
	ctx = ledger.WithActor(ctx, ledger.Actor{TokenID: "local", Role: ledger.RoleAdmin})
	list, err := r.store.Heads(ctx)
	if err != nil {
		return err
	}
	for _, h := range list {
		var notes []string
		for _, m := range slices.Concat(r.lost, r.forks) {
			if m.WindowID.String() == h.WindowID {
				notes = append(notes, "accepted as lost: "+m.String())
			}
		}
		n, err := r.ledger.Recover(ctx, uuid.MustParse(h.WindowID), strings.Join(notes, "; "))
		if err != nil {
			return err
		}
		if n > 0 {
			_, _ = fmt.Fprintf(r.env.stderr, "window %s: %d open entries are looked at before anything is sent\n", h.WindowID, n)
		}
	}
	return nil
}

// takeFacts takes in what was kept aside. Facts of a window that is lost go into a new one.
func (r *recovery) takeFacts(ctx context.Context) error {
	dir := r.config.sideJournal()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		return err
	}
	i, err := newImporter(ctx, r.parts, dir)
	if err != nil {
		return err
	}
	i.lostFunc = func(window string) (string, error) { return r.replace(ctx, window) }
	for _, file := range files {
		if err := i.file(ctx, r.env, file); err != nil {
			return fmt.Errorf("take in the facts that were kept aside: %w", err)
		}
		done := file + ".imported"
		if err := os.Rename(done, file+"."+time.Now().UTC().Format("20060102T150405.000000000Z")+".imported"); err != nil {
			return err
		}
	}
	return i.done(ctx)
}

// replace opens a window for the facts of one that is lost.
func (r *recovery) replace(ctx context.Context, window string) (string, error) {
	ctx = ledger.WithActor(ctx, ledger.Actor{TokenID: "local", Role: ledger.RoleAdmin})
	w, err := r.ledger.OpenWindow(ctx, ledger.WindowDraft{
		Name: "facts of the lost window " + window, Labels: map[string]string{"lost_window": window},
	})
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprintf(r.env.stderr, "window %s is lost; the facts that were reported of it stand in window %s\n", window, w.ID)
	return w.ID.String(), nil
}
