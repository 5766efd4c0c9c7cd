package sqlstore

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// quietFor is how long a server may leave a question without a word before another connection asks whether it answers at all. With
// [askWithin] it makes the 8 s after which a question to a frozen server ends.
const quietFor = 3 * time.Second

// askedAgain is how often a server that did not answer is asked again.
const askedAgain = time.Second

// errSilent is a server that does not answer: it is not dialled until it does.
var errSilent = errors.New("the database server does not answer")

// A pulse tells a server that is slow (a long scan, a lock, a commit that waits for its standby) from one that is frozen, which
// takes questions and says nothing: it asks it something short over a connection of its own. Connections that wait for a frozen one are
// closed, and no others are made until it answers. It costs a question nothing but a timer.
type pulse struct {
	cfg  *pgx.ConnConfig // as the pool's, without what the pool adds
	log  *slog.Logger
	ctx  context.Context //nolint:containedctx // of what runs beside the calls, until stop
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	conns  map[*heard]bool
	asking map[string]bool // addresses that are being asked
	silent map[string]bool // addresses that do not answer
}

// listenTo lets the connections of cfg be listened to. Call close when they are closed.
func listenTo(cfg *pgx.ConnConfig, log *slog.Logger) *pulse {
	p := &pulse{cfg: cfg.Copy(), log: log, conns: map[*heard]bool{}, asking: map[string]bool{}, silent: map[string]bool{}}
	p.cfg.ValidateConnect = nil // a standby answers too
	p.ctx, p.stop = context.WithCancel(context.Background())
	cfg.DialFunc = p.dial
	return p
}

func (p *pulse) close() {
	if p == nil {
		return
	}
	p.mu.Lock() // nothing begins to ask from here on
	p.stop()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *pulse) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	silent := p.silent[address]
	p.mu.Unlock()
	if silent {
		return nil, errSilent
	}
	c, err := p.cfg.DialFunc(ctx, network, address)
	if err != nil {
		return nil, err
	}
	h := &heard{Conn: c, pulse: p, address: address}
	h.reads.timer = time.AfterFunc(quietFor, h.quiet)
	h.writes.timer = time.AfterFunc(quietFor, h.quiet)
	h.reads.end()
	h.writes.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[h] = true
	return h, nil
}

// A heard connection knows whether it waits for its server. pgx reads only what it waits for, so one that is idle in the
// pool does not.
type heard struct {
	net.Conn
	pulse         *pulse
	address       string
	reads, writes wait
}

// A wait is one call that the other side may hold up.
type wait struct {
	on    atomic.Bool
	timer *time.Timer
}

func (w *wait) begin() {
	w.on.Store(true)
	w.timer.Reset(quietFor)
}

func (w *wait) end() {
	w.on.Store(false)
	w.timer.Stop()
}

func (h *heard) waits() bool { return h.reads.on.Load() || h.writes.on.Load() }

func (h *heard) Read(b []byte) (int, error) {
	h.reads.begin()
	defer h.reads.end()
	return h.Conn.Read(b)
}

func (h *heard) Write(b []byte) (int, error) {
	h.writes.begin()
	defer h.writes.end()
	return h.Conn.Write(b)
}

func (h *heard) Close() error {
	h.pulse.mu.Lock()
	delete(h.pulse.conns, h)
	h.pulse.mu.Unlock()
	return h.Conn.Close()
}

// quiet is called when a wait has taken long.
func (h *heard) quiet() {
	p := h.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking[h.address] || p.ctx.Err() != nil || !h.waits() {
		return
	}
	p.asking[h.address] = true
	p.wg.Go(func() { p.ask(h.address) })
}

// ask asks a server until it answers, and closes what waits for it while it does not.
func (p *pulse) ask(address string) {
	for {
		answers := p.answers(address)
		if p.ctx.Err() != nil || p.judge(address, answers) {
			return
		}
		if err := pause(p.ctx, askedAgain); err != nil {
			return
		}
	}
}

// judge acts on what was found, and reports whether it is the end of it.
func (p *pulse) judge(address string, answers bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case answers && p.silent[address]:
		p.log.InfoContext(p.ctx, "the database server answers again")
	case !answers && !p.silent[address]:
		p.log.WarnContext(p.ctx, "the database server does not answer: what waits for it is given up")
	}
	p.silent[address] = !answers
	p.asking[address] = !answers
	for h := range p.conns {
		switch {
		case h.address != address || !h.waits():
		case answers: // it is only slow: ask again if it stays so
			h.reads.timer.Reset(quietFor)
		default:
			_ = h.Conn.Close()
		}
	}
	return answers
}

// answers reports whether a server says anything, be it no.
func (p *pulse) answers(address string) bool {
	ctx, cancel := context.WithTimeout(p.ctx, askWithin)
	defer cancel()
	var dialled []net.Conn
	defer func() {
		for _, c := range dialled {
			_ = c.Close() // pgx would take its time
		}
	}()
	cfg := p.cfg.Copy()
	cfg.DialFunc = func(ctx context.Context, network, to string) (net.Conn, error) {
		if to != address { // another host of the database's address
			return nil, errSilent
		}
		c, err := p.cfg.DialFunc(ctx, network, to)
		if err == nil {
			dialled = append(dialled, c)
		}
		return c, err
	}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		_, err = c.Exec(ctx, "SELECT 1")
		_ = c.Close(ctx)
	}
	return err == nil || errors.As(err, new(*pgconn.PgError))
}
