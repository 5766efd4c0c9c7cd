package plugin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	maxProcesses = 4 // of one system; each serves one call at a time
	backoffBase  = 500 * time.Millisecond
	backoffCap   = 30 * time.Second
)

// A pool keeps the processes of one system's plugin. It is safe for concurrent use.
type pool struct {
	config remediators.PluginConfig
	system string
	clock  ledger.Clock
	log    *slog.Logger
	slots  chan struct{}

	mu        sync.Mutex
	idle      []*process // newest last
	breaks    int        // breakdowns in a row
	notBefore time.Time  // of the next start; zero: at once
	closed    bool
	name      string
	about     *Description // nil: none has started yet
}

func newPool(b remediators.Binding) *pool {
	return &pool{
		config: b.Config.Plugin.WithDefaults(), system: b.System.Name, clock: b.Clock, log: b.Log, slots: make(chan struct{}, maxProcesses),
	}
}

// with lends a process to a call. An error of fn that is a breakdown ends the process, and so does the end of ctx
// in the middle of what the plugin says; hide takes out of a log line what must not stand there. Errors of with
// itself are [ledger.CallError]: CallDenied (another file than the pinned one), CallAway (it broke down, and is
// started again later) and CallNotSent.
func (p *pool) with(ctx context.Context, hide func(string) string, fn func(*process) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return interrupted(ctx.Err())
	}
	if ctx.Err() != nil {
		return interrupted(ctx.Err())
	}
	proc, err := p.take(ctx)
	if err != nil {
		return err
	}
	err = fn(proc)
	var bad *breakdown
	switch {
	case errors.As(err, &bad):
		_ = p.broken(ctx, proc, bad, hide) // the call's own error says more
	case proc.asked: // the call was given up while an answer of the plugin was waited for
		proc.kill()
	default:
		p.give(proc)
	}
	return err
}

// take returns an idle process, or starts one.
func (p *pool) take(ctx context.Context) (*process, error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		proc := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if proc.alive() {
			p.mu.Unlock()
			return proc, nil
		}
		proc.kill()
	}
	wait := p.notBefore.Sub(p.clock.Now())
	p.mu.Unlock()
	if wait > 0 {
		return nil, &ledger.CallError{Class: ledger.CallAway, RetryAfter: wait, Detail: "the plugin broke down; it is started again later"}
	}
	return p.begin(ctx)
}

// begin starts a process and greets it.
func (p *pool) begin(ctx context.Context) (*process, error) {
	proc, err := start(p.config)
	var bad *breakdown
	if err != nil && !errors.As(err, &bad) {
		p.log.ErrorContext(ctx, "a plugin is not run", "system", p.system, "err", err.Error())
		return nil, &ledger.CallError{Class: ledger.CallDenied, Detail: "the plugin is not run: " + clean(err.Error(), maxDetail)}
	}
	if err != nil {
		return nil, p.broken(ctx, nil, bad, asItIs)
	}
	name, about, err := proc.greet(ctx)
	if err != nil {
		if !errors.As(err, &bad) {
			proc.kill()
			return nil, interrupted(err)
		}
		return nil, p.broken(ctx, proc, bad, asItIs)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.about = name, about
	return proc, nil
}

func asItIs(s string) string { return s }

// give takes a process back.
func (p *pool) give(proc *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaks, p.notBefore = 0, time.Time{}
	if p.closed {
		proc.kill()
		return
	}
	p.idle = append(p.idle, proc)
}

// broken ends a process that broke down, if there is one, and puts the next start off. What it wrote to stderr goes
// into the log. The error is what a call that had not begun gets.
func (p *pool) broken(ctx context.Context, proc *process, why *breakdown, hide func(string) string) error {
	wrote := ""
	if proc != nil {
		proc.kill()
		wrote = clean(hide(proc.stderr.String()), maxStderr)
	}
	p.mu.Lock()
	wait := min(backoffBase<<min(p.breaks, 10), backoffCap)
	p.breaks++
	p.notBefore = p.clock.Now().Add(wait)
	p.mu.Unlock()
	p.log.WarnContext(ctx, "a plugin broke down", "system", p.system, "err", why.why, "stderr", wrote)
	return &ledger.CallError{Class: ledger.CallAnswered, RetryAfter: wait, Detail: "the plugin broke down: " + why.why}
}

// description returns what the plugin says of itself, starting it where that is not known yet.
func (p *pool) description(ctx context.Context) (string, *Description, error) {
	if name, d := p.known(); d != nil {
		return name, d, nil
	}
	if err := p.with(ctx, asItIs, func(*process) error { return nil }); err != nil {
		return "", nil, err
	}
	name, d := p.known()
	return name, d, nil
}

// known returns what a plugin that was started has said of itself; nil: none was.
func (p *pool) known() (string, *Description) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name, p.about
}

// close ends the processes: idle ones now, others when their call is over.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, proc := range p.idle {
		proc.kill()
	}
	p.idle = nil
}
