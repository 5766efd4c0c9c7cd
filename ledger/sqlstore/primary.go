package sqlstore

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// What a PostgreSQL says of itself. Its identity is the cluster's identifier and the timeline, which every promotion and every
// restore from an archive counts up; its place is how far its log is on the disk.
const askServer = `SELECT current_setting('synchronous_commit'),
	(SELECT system_identifier FROM pg_control_system())::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8),
	(pg_current_wal_flush_lsn() - '0/0')::bigint`

// A standby that is only being brought up to date, or that is none of the synchronous ones, does not count. Who may not see the
// replication (pg_read_all_stats) sees no state.
const askStandby = `SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')`

// askWithin limits the questions to a server.
const askWithin = 5 * time.Second

// connectWithin limits how long a host may let us wait before the next one of the address is tried, unless connect_timeout
// says it.
const connectWithin = 5 * time.Second

// goneAfter is how long a server may leave what was sent to it unacknowledged.
const goneAfter = 10 * time.Second

// keptHeads is how many windows' newest heads are kept to compare a new primary with.
const keptHeads = 10_000

// A serverState is what a server said of itself.
type serverState struct {
	commit string // synchronous_commit
	id     string // empty: this user may not ask
	place  int64
}

// A primary is what this process knows of the PostgreSQL that it writes to. Another one in its place, or the same at an earlier time, is
// suspect until it was compared with what was answered: an asynchronous standby may lack some of it.
type primary struct {
	// busy is held for reading from the moment a change has its connection until it is in the mirrors.
	busy sync.RWMutex

	mu         sync.Mutex
	id         string
	place      int64 // the furthest that was seen
	suspicion  int64 // counts them
	trusted    int64 // the one that was compared last; less than suspicion: not yet
	durability ledger.Durability
	heads      map[uuid.UUID]ledger.Head // newest ones that this process has committed
}

func newPrimary() *primary {
	return &primary{durability: ledger.DurabilityLocal, heads: map[uuid.UUID]ledger.Head{}}
}

// seen returns how far the log was seen; whatever is asked of the same server from now on is not less.
func (p *primary) seen() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.place
}

// meet compares a server with the one that is known. floor is what seen returned before the server was asked.
func (p *primary) meet(s serverState, floor int64) (fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.id == "":
		return false
	case p.id == "":
	case p.id != s.id, s.place < floor:
		p.suspicion++
		p.durability, p.place, fresh = ledger.DurabilityLocal, 0, true
	}
	p.id, p.place = s.id, max(p.place, s.place)
	return fresh
}

// refuse says why a change is not made right now; nil: the server was compared.
func (p *primary) refuse(u *unit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspicion == p.trusted || u.directFunc != nil && !u.wary {
		return nil
	}
	return unavailable(u.op, u.id(), "nothing was recorded: another database server has taken over, and is being compared with what was answered", nil)
}

// keep remembers the heads that a transaction has committed, or found there.
func (p *primary) keep(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range b.order {
		id, h := f.win.ID, f.win.Head
		if f.fresh || h.Number < p.heads[id].Number {
			continue
		}
		if _, ok := p.heads[id]; !ok && len(p.heads) >= keptHeads {
			for other := range p.heads { // any
				delete(p.heads, other)
				break
			}
		}
		p.heads[id] = h
	}
}

// Durability says what an answered record survives, as it was a second ago.
func (s *Store) Durability() ledger.Durability {
	if s.primary == nil {
		return ledger.DurabilityLocal
	}
	s.primary.mu.Lock()
	defer s.primary.mu.Unlock()
	return s.primary.durability
}

// Suspicion returns a number above 0 while the database server is not known to have what was answered: another one has
// taken over, or it was put back to an earlier time. Changes are refused until it was compared and [Store.Trust] was called with that
// number. It waits for the changes that were under way: what they were answered is in the mirrors, and in [Store.Committed].
func (s *Store) Suspicion() int64 {
	p := s.primary
	if p == nil {
		return 0
	}
	p.mu.Lock()
	n := p.suspicion
	if n == p.trusted {
		n = 0
	}
	p.mu.Unlock()
	if n > 0 {
		p.busy.Lock()
		p.busy.Unlock() //nolint:staticcheck // SA2001: whoever held it has ended
	}
	return n
}

// Trust says that the server was compared. It changes nothing if another one has taken over since.
func (s *Store) Trust(suspicion int64) {
	s.primary.mu.Lock()
	defer s.primary.mu.Unlock()
	if s.primary.suspicion == suspicion {
		s.primary.trusted = suspicion
	}
}

// Committed returns the newest heads of windows that this process has committed or met, of 10,000 windows at most. On SQLite there
// are none.
func (s *Store) Committed() []journal.Leaf {
	if s.primary == nil {
		return nil
	}
	s.primary.mu.Lock()
	heads := maps.Clone(s.primary.heads)
	s.primary.mu.Unlock()
	out := make([]journal.Leaf, 0, len(heads))
	for _, id := range slices.SortedFunc(maps.Keys(heads), compareIDs) {
		out = append(out, leafOf(id, heads[id]))
	}
	return out
}

// AskPrimary asks the server who it is, which a pooler hides from new connections, and whether a synchronous standby has what it
// commits. It is called once a second.
func (s *Store) AskPrimary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var state serverState
	var standbys int
	floor := s.primary.seen()
	err := s.write.QueryRowContext(ctx, askServer+", ("+askStandby+")").Scan(&state.commit, &state.id, &state.place, &standbys)
	if isDenied(err) {
		err = nil // nothing is known: local
	}
	if err == nil {
		s.met(ctx, state, floor)
	}
	d := ledger.DurabilityLocal
	if err == nil && standbys > 0 && (state.commit == "on" || state.commit == "remote_apply") {
		d = ledger.DurabilityReplicated
	}
	s.primary.mu.Lock()
	defer s.primary.mu.Unlock()
	if s.primary.suspicion != s.primary.trusted {
		d = ledger.DurabilityLocal
	}
	if d != s.primary.durability {
		s.cfg.Log.InfoContext(ctx, "what an answered record survives has changed", slog.String("state", string(d)))
	}
	s.primary.durability = d
	return s.dialect.problem("ask the database server", "", err)
}

// greet looks at the server of each new connection before anything is done on it.
func (s *Store) greet(ctx context.Context, c *pgx.Conn) error {
	var state serverState
	floor := s.primary.seen()
	err := c.QueryRow(ctx, askServer, pgx.QueryExecModeExec).Scan(&state.commit, &state.id, &state.place)
	if isDenied(err) {
		err = c.QueryRow(ctx, "SHOW synchronous_commit", pgx.QueryExecModeExec).Scan(&state.commit)
	}
	if err == nil && state.commit == "off" {
		err = errors.New("PostgreSQL's synchronous_commit is off: an answered record might not survive a power loss")
	}
	if err != nil {
		_ = c.Close(context.WithoutCancel(ctx))
		return err
	}
	s.met(ctx, state, floor)
	return nil
}

func (s *Store) met(ctx context.Context, state serverState, floor int64) {
	if s.primary.meet(state, floor) {
		s.cfg.Log.WarnContext(ctx, "another database server has taken over, or it was put back: nothing is recorded until it was compared with what was answered")
	}
}

// isDenied reports that the user may not ask.
func isDenied(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "42501"
}

// warned is where a connection keeps that its server warned.
const warned = "sideledger.warned"

// OnlyPrimary makes connections refuse a server that takes no writes, end themselves once theirs does not any more or its machine is
// gone without a word, and remember a warning: one that comes with a COMMIT says that it was not waited for the standby.
func OnlyPrimary(cfg *pgx.ConnConfig) {
	cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectWithin
	}
	alive := net.KeepAliveConfig{Enable: true, Idle: goneAfter / 2, Interval: 2 * time.Second, Count: 2}
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: alive, Control: giveUp(goneAfter)}).DialContext
	before := cfg.OnPgError
	cfg.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		return e.Code != readOnly && before(c, e)
	}
	cfg.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if n.Code == "01000" { // warning
			c.CustomData()[warned] = true
		}
	}
}

// readOnly is the SQLSTATE of a change at a server that takes none: a standby, or a primary that was taken out of service.
const readOnly = "25006"

// errNotWaited is a commit that the server did not wait with for its standby: somebody cancelled that.
var errNotWaited = errors.New("the server warned at the commit: a standby may not have it")

// waited returns an error if the server warned on this connection.
func (c *conn) waited() error {
	if c.stmts != nil { // SQLite
		return nil
	}
	return c.raw.Raw(func(driver any) error {
		if pg, ok := driver.(*stdlib.Conn); ok && pg.Conn().PgConn().CustomData()[warned] != nil {
			return errNotWaited
		}
		return nil
	})
}
