package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"sync"
	"time"

	"sideledger/ledger"
)

// turnWithin is how long a question about a limit may take.
const turnWithin = 2 * time.Second

// Turns are the limits of systems that all processes on one PostgreSQL share. Each question is one statement, by the server's clock.
// Turns implements [ledger.Turns] and [ledger.Deletions].
type Turns struct {
	store  *Store
	id     string        // of this process
	term   time.Duration // how long a slot stands without being renewed
	wanted time.Duration // how long a slot that becomes free is kept for the process that asked for one in vain

	mu       sync.Mutex
	held     map[string]*slot // by holder
	renewing bool             // they are renewed
}

var (
	_ ledger.Turns     = (*Turns)(nil)
	_ ledger.Deletions = (*Turns)(nil)
)

// Turns returns the limits that all processes on this database share; nil on SQLite, where there is one process.
func (s *Store) Turns() *Turns {
	if s.file != "" {
		return nil
	}
	return &Turns{store: s, id: ledger.NewID().String(), term: ledger.LeaseTime, wanted: 8 * ledger.SlotPoll, held: map[string]*slot{}}
}

// unhurried is the first thing that each statement returns. The tables are unlogged, so it waits for nothing; but a statement that meets the
// system's catalog may tidy up there, and would wait for the disk, and the standby, to have that. It is for this transaction alone.
const unhurried = "set_config('synchronous_commit', 'off', true)"

// ask asks one statement whose answer is one row, of unhurried and dest, or none. It does not end with ctx: what was taken is known.
func (t *Turns) ask(ctx context.Context, op string, dest []any, query string, args ...any) (found bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnWithin)
	defer cancel()
	err = t.store.write.DB.QueryRowContext(ctx, t.store.dialect.bind(query), args...).Scan(append([]any{new(string)}, dest...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, t.store.dialect.problem(op, "", err)
}

// askTurn: a turn is the first moment, from now on, that is every_us after the last one. The row knows it as a distance from when it was
// asked last, so that a clock which was set back makes nobody wait, and turns ahead at another pace are counted, not timed. The one
// sub-select reads the clock once, after the row is locked.
const askTurn = `INSERT INTO turns AS t (system, every_us, asked_at, ahead_us, given) VALUES (?, ?, clock_timestamp(), ?, true)
	ON CONFLICT (system) DO UPDATE SET (every_us, asked_at, ahead_us, given) = (
		SELECT excluded.every_us, w.at, w.wait + CASE WHEN w.wait <= ? THEN excluded.every_us ELSE 0 END, w.wait <= ?
		FROM (SELECT c.at, ceil(greatest(0, t.ahead_us - greatest(0, extract(epoch FROM c.at - t.asked_at) * 1000000))
			* excluded.every_us / t.every_us)::bigint AS wait FROM (SELECT clock_timestamp() AS at) AS c) AS w)
	RETURNING ` + unhurried + `, asked_at, ahead_us, given`

// Turn implements [ledger.Turns].
func (t *Turns) Turn(ctx context.Context, system string, p ledger.Pace) (ledger.Turn, bool, error) {
	every, atMost := p.Every.Microseconds(), p.AtMost.Microseconds()
	if p.AtMost == 0 {
		atMost = math.MaxInt64
	}
	out := ledger.Turn{Every: p.Every}
	var ahead int64
	var given bool
	_, err := t.ask(ctx, "ask for a turn", []any{&out.Asked, &ahead, &given}, askTurn, system, every, every, atMost, atMost)
	if err != nil {
		return ledger.Turn{}, false, err
	}
	if given {
		ahead -= every
	}
	out.Asked, out.Wait = out.Asked.UTC(), time.Duration(ahead)*time.Microsecond
	return out, given, nil
}

// ReturnTurn implements [ledger.Turns].
func (t *Turns) ReturnTurn(ctx context.Context, system string, turn ledger.Turn) error {
	var ahead int64
	_, err := t.ask(ctx, "give a turn back", []any{&ahead},
		"UPDATE turns SET ahead_us = ahead_us - every_us WHERE system = ? AND asked_at = ? AND ahead_us = ? AND every_us = ? RETURNING "+unhurried+", ahead_us",
		system, turn.Asked, (turn.Wait + turn.Every).Microseconds(), turn.Every.Microseconds())
	return err
}

// askDeletion keeps no more times than the limit has to know.
const askDeletion = `INSERT INTO deletions AS d (system, times) VALUES (?, ARRAY[clock_timestamp()])
	ON CONFLICT (system) DO UPDATE SET times = ARRAY(SELECT newest.at FROM (
			SELECT u.at FROM unnest(d.times) AS u(at) WHERE u.at > clock_timestamp() - interval '1 minute' ORDER BY u.at DESC LIMIT ?
		) AS newest ORDER BY newest.at) || clock_timestamp()
	WHERE ? OR (SELECT COUNT(*) FROM unnest(d.times) AS u(at) WHERE u.at > clock_timestamp() - interval '1 minute') < ?
	RETURNING ` + unhurried + `, cardinality(times)`

// CountDeletion implements [ledger.Deletions].
func (t *Turns) CountDeletion(ctx context.Context, system string, limit int, anyway bool) (bool, error) {
	var n int
	return t.ask(ctx, "count a deletion", []any{&n}, askDeletion, system, limit-1, anyway, limit)
}
