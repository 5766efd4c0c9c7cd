package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api"
	"sideledger/ledger"
	"sideledger/ledger/runner"
)

const (
	drainTime  = 15 * time.Second // for requests that are under way when the server is told to stop
	pruneEvery = time.Hour        // first answers that are out of date are removed
	lookupTime = 10 * time.Second // for asking, at start, where the systems' names lead
)

type serveOptions struct {
	configFlags
	paused        bool
	withoutMirror bool
	notifier      *notifier // of systemd
}

func newServe(e *env) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve the API and run rollbacks", Args: cobra.NoArgs,
		Long: `Serves the API and runs rollbacks until it is interrupted. Without a configuration it listens on loopback, keeps
the ledger in one SQLite file in the working directory, and on its first start makes an admin token and says
where it put it. Rollbacks that a crash interrupted go on by themselves. SIGHUP reads the systems again.

Do not run it on a host that the upgrade changes or that a snapshot restore takes back.`,
		Example: "  ledgerd serve\n  ledgerd serve --config /etc/ledgerd.yaml\n  ledgerd serve --paused      # unfinished rollbacks wait for `resume`",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), e, &o) },
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.paused, "paused", false, "pause unfinished rollbacks instead of going on with them")
	cmd.Flags().BoolVar(&o.withoutMirror, "without-mirror", false, "record although the configured mirror is away; what is recorded is lost with this host")
	return cmd
}

func runServe(ctx context.Context, e *env, o *serveOptions) error {
	return alone(ctx, e, &o.configFlags, opening{}, func(p *parts) error {
		return p.attending(ctx, func(ctx context.Context) error { return p.prepareAndServe(ctx, e, o) })
	})
}

// prepareAndServe does what has to be done before the first request, and serves.
func (p *parts) prepareAndServe(ctx context.Context, e *env, o *serveOptions) error {
	if err := p.watch(ctx, e, o.withoutMirror); err != nil {
		return err
	}
	if err := p.checkInUse(ctx); err != nil {
		return err
	}
	if err := p.store.Alone(ctx, func() error { return firstToken(ctx, e, p) }); err != nil {
		return err
	}
	traces, err := newTraces(ctx, e)
	if err != nil {
		return err
	}
	p.traces = traces
	o.notifier = newNotifier(e)
	defer traces.stop()
	return p.serve(ctx, o)
}

// serve runs the API, the runner and the chores side by side until ctx ends or the listener fails.
func (p *parts) serve(ctx context.Context, o *serveOptions) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	jobs, closeJobs, err := p.openJobs(ctx)
	if err != nil {
		return err
	}
	defer closeJobs()
	a, err := p.newAPI()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	srv := a.Server()
	failed := make(chan error, 1)
	go func() { failed <- p.listen(srv, listener) }()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.runRollbacks(ctx, jobs, o.paused)
	}()
	p.sideBySide(ctx, o)
	p.log.InfoContext(ctx, "serving", slog.String("address", listener.Addr().String()), slog.String("version", versionText()))
	select {
	case <-ctx.Done():
	case err = <-failed:
		stop()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	_ = a.Shutdown(drain, srv) // what is still under way is closed: its callers ask again with the same id
	<-ended
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// newAPI returns the API with its metrics and spans.
func (p *parts) newAPI() (*api.API, error) {
	if err := p.meters.registry.Register(&gauges{parts: p, clock: time.Now}); err != nil {
		return nil, err
	}
	p.meters.expect(p.registry.List())
	return api.New(api.Config{
		Ledger: p.ledger, Log: p.log, Clock: time.Now, Version: versionText(), BehindProxy: p.config.BehindProxy,
		ReadyFunc: p.store.Ping, DurableFunc: p.store.Durability, Vigil: p.vigil, Metrics: p.meters.registry, Traces: p.traces.provider,
	})
}

// runRollbacks runs rollbacks until ctx ends or the ledger enters safe mode.
func (p *parts) runRollbacks(ctx context.Context, jobs runner.Jobs, paused bool) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-p.vigil.danger:
			stop()
		case <-ctx.Done():
		}
	}()
	if p.vigil.Safe() == nil {
		p.newRunner(jobs, paused).Run(ctx)
	}
	<-ctx.Done()
}

func (p *parts) listen(srv *http.Server, l net.Listener) error {
	if t := p.config.TLS; t.Cert != "" {
		return srv.ServeTLS(l, t.Cert, t.Key)
	}
	return srv.Serve(l)
}

// sideBySide starts what goes on beside the API and the runner, until ctx ends.
func (p *parts) sideBySide(ctx context.Context, o *serveOptions) {
	go p.vigil.sign(ctx)
	go p.chores(ctx, o)
	go o.notifier.run(ctx)
	if p.config.replicated() {
		go p.vigil.followSafe(ctx)
	}
}

// chores reads the systems again on SIGHUP, and, where no jobs do it, does the chores.
func (p *parts) chores(ctx context.Context, o *serveOptions) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	p.lookUp(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			p.reload(ctx, o)
			p.lookUp(ctx)
		case <-prune.C:
			if p.config.replicated() {
				continue // jobs do it
			}
			for _, c := range p.choreList() {
				if err := c.DoFunc(ctx); err != nil {
					p.log.WarnContext(ctx, "a chore failed", slog.String("kind", c.Name), slog.Any("err", err))
				}
			}
		}
	}
}

// reload replaces the systems by those of the configuration file; with a mistake in it the old ones stay.
func (p *parts) reload(ctx context.Context, o *serveOptions) {
	c, err := o.load()
	if err == nil {
		next := *p
		next.config = c
		err = next.checkInUse(ctx)
	}
	if err == nil {
		_, err = p.registry.Update(c.Systems)
	}
	if err != nil {
		p.log.ErrorContext(ctx, "the configuration was not taken over", slog.Any("err", err))
		return
	}
	p.meters.expect(p.registry.List())
	p.log.InfoContext(ctx, "systems read again", slog.Int("systems", len(c.Systems)))
}

// lookUp says which systems' names lead to addresses that will not be dialled. Nothing waits for it.
func (p *parts) lookUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	for _, w := range p.registry.LookUp(ctx) {
		p.log.WarnContext(ctx, "configuration", slog.String("system", w.System), slog.String("warning", w.String()))
	}
}

// firstToken makes an admin token when there is none at all, and says where it put it.
func firstToken(ctx context.Context, e *env, p *parts) error {
	list, err := p.ledger.Tokens(ctx)
	if err != nil || len(list) > 0 {
		return err
	}
	secret, _, err := p.ledger.CreateToken(ctx, ledger.Token{Role: ledger.RoleAdmin})
	if err != nil {
		return err
	}
	file := "ledgerd.admin-token"
	if db := p.config.sqliteFile(); db != "" {
		file = db + ".admin-token"
	}
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the first token: %w", err)
	}
	if full, err := filepath.Abs(file); err == nil {
		file = full
	}
	_, err = fmt.Fprintf(e.stderr, "an admin token was made; it is in %s: export ROLLBACK_TOKEN_FILE=%s\n", file, file)
	return err
}
