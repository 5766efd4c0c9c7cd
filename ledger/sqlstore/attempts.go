package sqlstore

import (
	"context"
	"time"

	"sideledger/ledger"
)

// The newest entries have the greatest ids; the index of the attempts' key has them at its end.
const selectAttemptTimes = `SELECT e.system, a.started_at, a.ended_at
	FROM (SELECT entry_id, started_at, ended_at, result FROM attempts ORDER BY entry_id DESC, n DESC LIMIT ?) AS a
	JOIN entries AS e ON e.id = a.entry_id
	WHERE a.ended_at > 0 AND a.result NOT IN (?, ?, ?)`

// AttemptTimes implements [ledger.Measurer].
func (s *Store) AttemptTimes(ctx context.Context, limit int) ([]ledger.AttemptTime, error) {
	var rows []struct {
		System    string `bun:"system"`
		StartedAt int64  `bun:"started_at"`
		EndedAt   int64  `bun:"ended_at"`
	}
	err := s.read.NewRaw(selectAttemptTimes, limit, string(ledger.CallNotSent), string(ledger.CallAway), string(ledger.CallDenied)).Scan(ctx, &rows)
	if err != nil {
		return nil, s.dialect.problem("read how long attempts took", "", err)
	}
	out := make([]ledger.AttemptTime, 0, len(rows))
	for _, r := range rows {
		took := time.Duration(r.EndedAt-r.StartedAt) * time.Microsecond
		out = append(out, ledger.AttemptTime{System: r.System, Took: max(0, took)})
	}
	return out, nil
}
