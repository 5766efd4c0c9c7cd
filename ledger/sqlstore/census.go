package sqlstore

import (
	"context"
	"time"

	"sideledger/ledger"
)

// A Census counts what an operator has to know of, over all windows. Entries are those of live windows: nobody waits for
// what stands in one that is kept or rolled back.
type Census struct {
	Windows   map[ledger.WindowState]int
	Rollbacks map[ledger.RollbackState]int // that are not over
	Waiting   map[string]int               // runs that wait, by why
	Stuck     map[ledger.Reason]int        // entries
	InDoubt   int                          // intents past their perform_by that nobody has reported on
	Oldest    time.Time                    // perform_by of the oldest of them; zero: there is none
	Words     int                          // second words that were asked for and not given
}

// inLive finds the entries of live windows in one state: windows_live and entries_state have them.
const inLive = ` FROM windows AS w JOIN entries AS e ON e.window_id = w.id AND e.state = ?
	WHERE w.state IN ('open', 'sealed', 'rolling_back', 'stuck')`

// The statements of a census. No one walks over the entries: what it costs goes with how many are in that state.
const (
	countWindows = "SELECT state AS name, COUNT(*) AS n FROM windows GROUP BY state"
	countStuck   = "SELECT e.reason AS name, COUNT(*) AS n" + inLive + " GROUP BY e.reason"
	countInDoubt = "SELECT COUNT(*) AS n, COALESCE(MIN(e.perform_by), 0) AS oldest" + inLive + " AND e.perform_by < ? AND e.open"
)

// Census counts, without a fence.
func (s *Store) Census(ctx context.Context) (*Census, error) {
	c := &Census{
		Windows: map[ledger.WindowState]int{}, Rollbacks: map[ledger.RollbackState]int{}, Waiting: map[string]int{}, Stuck: map[ledger.Reason]int{},
	}
	var rows []struct {
		Name string `bun:"name"`
		N    int    `bun:"n"`
	}
	if err := s.read.NewRaw(countWindows).Scan(ctx, &rows); err != nil {
		return nil, s.dialect.problem("count windows", "", err)
	}
	for _, r := range rows {
		c.Windows[ledger.WindowState(r.Name)] = r.N
	}
	rows = nil
	if err := s.read.NewRaw(countStuck, string(ledger.EntryStuck)).Scan(ctx, &rows); err != nil {
		return nil, s.dialect.problem("count stuck entries", "", err)
	}
	for _, r := range rows {
		c.Stuck[ledger.Reason(r.Name)] = r.N
	}
	var doubt struct {
		N      int   `bun:"n"`
		Oldest int64 `bun:"oldest"`
	}
	if err := s.read.NewRaw(countInDoubt, string(ledger.EntryIntended), micros(s.cfg.Clock.Now())).Scan(ctx, &doubt); err != nil {
		return nil, s.dialect.problem("count entries in doubt", "", err)
	}
	c.InDoubt, c.Oldest = doubt.N, moment(doubt.Oldest)
	return c, s.countRuns(ctx, c)
}

// countRuns counts the runs that are not over: an index has them, and they are few.
func (s *Store) countRuns(ctx context.Context, c *Census) error {
	runs, err := s.Unfinished(ctx)
	if err != nil {
		return err
	}
	for i := range runs {
		r := &runs[i]
		c.Rollbacks[r.State]++
		if r.Waiting != nil {
			c.Waiting[r.Waiting.Why]++
		}
		for _, w := range r.Words {
			if w.GivenAt.IsZero() {
				c.Words++
			}
		}
	}
	return nil
}

// Queued returns how many changes wait for the SQLite writer; 0 for PostgreSQL, which does not queue.
func (s *Store) Queued() int {
	if s.group == nil {
		return 0
	}
	return len(s.group.queue)
}

// Full reports whether the disk is full: nothing new is taken, as [Store.Ping] says.
func (s *Store) Full() bool { return s.reserve.refusal("", "", ledger.UseNew) != nil }
