package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/heads"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
)

// What several ledgerd on one PostgreSQL need beside leases: jobs that reach all of them, one of them at a time for what
// one alone should do, and news of safe mode.

const (
	dutyHeads = "heads"         // signing heads that have moved
	dutyTime  = 5 * time.Second // how long a duty stays with a replica that is not heard of any more
	safeEvery = time.Second     // how often a replica asks whether another one has entered safe mode
)

// replicated reports whether other processes may serve the same ledger.
func (c *Config) replicated() bool { return c.sqliteFile() == "" }

func (p *parts) riverConfig(chores ...runner.Chore) runner.RiverConfig {
	return runner.RiverConfig{URL: p.config.Database, Pooled: p.store.Pooled(), ConnFunc: sqlstore.OnlyPrimary, Log: p.log, Chores: chores}
}

// openJobs returns what brings wake-ups to all replicas, and the function that closes it; nothing for an embedded ledger.
func (p *parts) openJobs(ctx context.Context) (runner.Jobs, func(), error) {
	if !p.config.replicated() {
		return nil, func() {}, nil
	}
	if p.store.Pooled() {
		p.log.InfoContext(ctx, "a pooler stands before PostgreSQL: no statement is prepared, and jobs are polled for")
	}
	river, err := runner.OpenRiver(ctx, p.riverConfig(p.choreList()...))
	if err != nil {
		return nil, nil, err
	}
	return river, river.Close, nil
}

// migrateJobs brings the tables of the jobs up to date.
func migrateJobs(ctx context.Context, c Config, store *sqlstore.Store, log *slog.Logger) error {
	if !c.replicated() {
		return nil
	}
	return store.Alone(ctx, func() error {
		return runner.MigrateRiver(ctx, runner.RiverConfig{URL: c.Database, Pooled: store.Pooled(), ConnFunc: sqlstore.OnlyPrimary, Log: log})
	})
}

// choreList is what is done now and then, by one replica at a time.
func (p *parts) choreList() []runner.Chore {
	return []runner.Chore{
		{Name: "prune_replies", Every: pruneEvery, DoFunc: p.prune},
		{Name: "retain", Every: pruneEvery, DoFunc: p.retain},
	}
}

// prune removes first answers that are out of date.
func (p *parts) prune(ctx context.Context) error {
	if p.vigil.Safe() != nil {
		return nil // what is here is evidence
	}
	_, err := p.store.PruneReplies(ctx)
	return errors.Join(err, p.store.ForgetDuties(ctx, dutyServing, presentKept))
}

// followSafe asks whether another replica has found the ledger older than it was, until ctx ends or it has.
func (v *vigil) followSafe(ctx context.Context) {
	v.each(ctx, safeEvery, func() {
		if err := v.store.LoadSafe(ctx); err != nil && ctx.Err() == nil {
			v.log.WarnContext(ctx, "whether the ledger is in safe mode cannot be read", slog.Any("err", err))
		}
		if v.Safe() != nil {
			v.alarm(ctx)
		}
	})
}

// hasDuty reports whether this replica signs heads until it is asked again. Not to know is to leave it to the others.
func (v *vigil) hasDuty(ctx context.Context) bool {
	mine, err := v.store.TakeDuty(ctx, dutyHeads, v.replica, dutyTime)
	if err != nil && ctx.Err() == nil {
		v.log.WarnContext(ctx, "whose turn it is to sign heads cannot be read", slog.Any("err", err))
	}
	return mine
}

// dropDuty lets another replica sign heads at once.
func (v *vigil) dropDuty(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dutyTime)
	defer cancel()
	if err := v.store.DropDuty(ctx, dutyHeads, v.replica); err != nil {
		v.log.DebugContext(ctx, "the duty to sign heads ends by itself", slog.Any("err", err))
	}
}

// signTries is how often a head is signed anew that another replica was faster with.
const signTries = 10

// signNow signs heads although another replica may be at it.
func (v *vigil) signNow(ctx context.Context) (note string, err error) {
	for range signTries {
		if note, err = v.signer.Sign(ctx); ledger.CodeOf(err) != ledger.CodeConflict {
			return note, err
		}
	}
	return "", err
}

// checkReplicaKey refuses a replica that was not given the ledger's key: one that was set up wrongly must not put the ledger of all
// others into safe mode, nor make a key of its own.
func (v *vigil) checkReplicaKey(ctx context.Context, file string) error {
	known, err := v.store.Fact(ctx, factNoteKey)
	if err != nil || len(known) == 0 {
		return err
	}
	wrong := fmt.Errorf("note_key: the key that this ledger's heads are signed with is not in %s: every replica needs the same file, so copy it from one that "+
		"has it. If the key is lost, or the database was moved without it, `ledgerd recover` goes on with a new one", file)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return wrong
	}
	key, _, err := heads.OpenKey(file, "")
	if err == nil && key.Verifier() != string(known) {
		err = wrong
	}
	return err
}
