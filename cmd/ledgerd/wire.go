package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/ledger/secrets"
	"sideledger/ledger/sqlstore"
	"sideledger/remediators"
	"sideledger/remediators/alertmanager"
	"sideledger/remediators/command"
	"sideledger/remediators/etcd"
	"sideledger/remediators/httpapi"
	"sideledger/remediators/manual"
	"sideledger/remediators/plugin"
	"sideledger/remediators/powerdns"
	"sideledger/remediators/route53"
	"sideledger/remediators/ssm"
	"sideledger/remediators/unleash"
	"sideledger/remediators/vaultkv"
)

// factories lists every remediator that this server has.
func factories() map[string]remediators.Factory {
	return map[string]remediators.Factory{
		"http":         httpapi.Factory,
		"command":      command.Factory,
		"manual":       manual.Factory,
		"alertmanager": alertmanager.Factory,
		"unleash":      unleash.Factory,
		"plugin":       plugin.Factory,
		"powerdns":     powerdns.Factory,
		"etcd":         etcd.Factory,
		"ssm":          ssm.Factory,
		"route53":      route53.Factory,
		"vaultkv":      vaultkv.Factory,
	}
}

// A system of parts: what a command needs of the server, wired together.
type parts struct {
	config   Config
	store    *sqlstore.Store
	registry *remediators.Registry
	waker    *runner.Waker
	ledger   *ledger.Ledger
	keyring  *secrets.Keyring // nil: secret fields stay closed
	vigil    *vigil           // nil: nothing is recorded by this command
	meters   *meters
	traces   *traces
	turns    *sqlstore.Turns // nil: limits of systems hold in this process, which is the only one

	recovering bool
	log        *slog.Logger
}

// openStore opens the database and brings its schema up to date.
func openStore(ctx context.Context, c Config, log *slog.Logger, how opening) (*sqlstore.Store, error) {
	store, err := sqlstore.Open(ctx, sqlstore.Config{
		URL: c.Database, Clock: time.Now, Log: log, Reserve: c.reserve, Recovering: how.recovering, CommittedFunc: how.committedFunc,
	})
	if err != nil {
		return nil, err
	}
	if err = store.Migrate(ctx); err == nil {
		err = migrateJobs(ctx, c, store, log)
	}
	if err == nil && !how.filling {
		err = whole(ctx, store)
	}
	if err == nil {
		err = store.LoadSafe(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// An opening says what a ledger is opened for.
type opening struct {
	recovering bool // changes are made in safe mode too
	filling    bool // it is made again: it need not be whole yet
	closed     bool // its secret fields stay closed: their key need not be here
	// committedFunc is told of each commit; nil: nobody is.
	committedFunc func(took time.Duration, err error)
}

// open wires the parts over a migrated database. Close them when done.
func open(ctx context.Context, e *env, c Config) (*parts, error) {
	return openParts(ctx, e, c, opening{})
}

func openParts(ctx context.Context, e *env, c Config, how opening) (*parts, error) {
	if c.Log != (LogConfig{}) {
		e.log = c.Log.logger(e.stderr)
	}
	registry, warnings, err := remediators.NewRegistry(remediators.Options{
		Systems: c.Systems, Factories: factories(), Clock: time.Now, Log: e.log, Getenv: e.getenv,
		Descriptions: descriptions(),
	})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	for _, w := range warnings {
		e.log.WarnContext(ctx, "configuration", slog.String("system", w.System), slog.String("warning", w.String()))
	}
	counted := newMeters()
	how.committedFunc = counted.committed
	store, err := openStore(ctx, c, e.log, how)
	if err != nil {
		return nil, err
	}
	p := &parts{
		config: c, store: store, registry: registry, waker: runner.NewWaker(), meters: counted, traces: untraced(), log: e.log,
		recovering: how.recovering,
	}
	if p.turns = store.Turns(); p.turns != nil {
		registry.Share(p.turns)
	}
	var cipher ledger.Cipher
	if !how.closed {
		if p.keyring, err = openKeyring(ctx, e, &c, store); err != nil {
			return nil, errors.Join(err, store.Close())
		}
		cipher = p.keyring
	}
	p.ledger = ledger.New(ledger.Config{
		Store: store, Systems: registry, Clock: time.Now, Log: e.log, Waker: p.waker, Cipher: cipher,
		RefuseSnapshot: len(c.Mirror) == 0 && !c.OutsideSnapshot, Replicated: c.replicated(),
	})
	return p, nil
}

// alone runs fn over the wired parts while no other process may run the ledger, and closes them.
func alone(ctx context.Context, e *env, f *configFlags, how opening, fn func(*parts) error) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	unlock, err := lockLedger(&c)
	if err != nil {
		return err
	}
	defer unlock()
	return opened(ctx, e, c, how, fn)
}

// opened runs fn over the wired parts and closes them.
func opened(ctx context.Context, e *env, c Config, how opening, fn func(*parts) error) error {
	p, err := openParts(ctx, e, c, how)
	if err != nil {
		return err
	}
	defer p.close()
	return fn(p)
}

func (p *parts) close() {
	p.registry.Close()
	if err := p.store.Close(); err != nil {
		p.log.Error("close database", slog.Any("err", err))
	}
	if p.vigil != nil {
		if err := p.vigil.close(); err != nil {
			p.log.Error("close mirrors", slog.Any("err", err))
		}
	}
}

// callGrace is how long an undo that was sent may still be answered when the server stops.
const callGrace = 10 * time.Second

// newRunner returns the runner of rollbacks. jobs: what reaches other replicas; nil: nothing.
func (p *parts) newRunner(jobs runner.Jobs, paused bool) *runner.Runner {
	c := runner.Config{
		Ledger: p.ledger, Waker: p.waker, Clock: time.Now, Log: p.log, Grace: callGrace, Sole: !p.config.replicated(), Paused: paused,
		Jobs: jobs, Observer: p.traces.observer(p.meters),
		JitterFunc: func(d time.Duration) time.Duration {
			if d <= 0 {
				return 0
			}
			return rand.N(d) //nolint:gosec // spreads retries; nobody gains by guessing it
		},
	}
	if p.turns != nil {
		c.Deletions = p.turns
	}
	return runner.New(c)
}

// checkInUse refuses a configuration that lacks a system which open entries need.
func (p *parts) checkInUse(ctx context.Context) error {
	used, err := p.store.SystemsInUse(ctx)
	if err != nil {
		return err
	}
	used = slices.DeleteFunc(used, func(name string) bool { _, ok := p.config.Systems[name]; return ok })
	if len(used) > 0 {
		return fmt.Errorf("configuration: open entries need systems.%s: put it back, with `disabled: true` if nothing may be sent to it",
			strings.Join(used, ", systems."))
	}
	return nil
}
