package sqlstore

import (
	"context"
	"time"
)

// A duty is named work that one holder has for a while, by the database's clock: a row with a name, a holder and a time. It is no lock of a
// session, which would not hold behind a pooler. An embedded ledger has one process, which has every duty; nothing is kept there.

// A Duty is one that somebody has right now.
type Duty struct {
	Name, Holder string
	Until        time.Time // by the database's clock; another one each time that it is renewed
}

// TakeDuty reports whether this holder, and no other replica's, does the named work from now on until d has passed. It is
// asked again before that; another holder gets it afterwards. The database's clock decides. Whoever has overslept does the work once more
// beside another: it must be harmless then. An embedded ledger has one process, which has every duty.
func (s *Store) TakeDuty(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	if s.file != "" {
		return true, nil
	}
	res, err := s.write.ExecContext(ctx, `INSERT INTO duties AS d (name, holder, until) VALUES (?0, ?1, now() + ?2 * interval '1 ms')
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE d.holder = ?1 OR d.until < now()`,
		name, holder, d.Milliseconds())
	if err != nil {
		return false, s.dialect.problem("take duty "+name, "", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// DutyTaken reports whether a replica has the named work right now.
func (s *Store) DutyTaken(ctx context.Context, name string) (bool, error) {
	if s.file != "" {
		return false, nil
	}
	var n int
	err := s.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM duties WHERE name = ? AND until >= now()", name).Scan(&n)
	return n > 0, s.dialect.problem("look for duty "+name, "", err)
}

// DropDuty gives the named work back, if this holder has it.
func (s *Store) DropDuty(ctx context.Context, name, holder string) error {
	if s.file != "" {
		return nil
	}
	_, err := s.write.ExecContext(ctx, "DELETE FROM duties WHERE name = ? AND holder = ?", name, holder)
	return s.dialect.problem("drop duty "+name, "", err)
}

// Duties returns who has duties right now whose names begin so, by name.
func (s *Store) Duties(ctx context.Context, prefix string) ([]Duty, error) {
	if s.file != "" {
		return nil, nil
	}
	var out []Duty
	err := s.read.NewSelect().TableExpr("duties").Column("name", "holder", "until").
		Where("starts_with(name, ?)", prefix).Where("until >= now()").Where("holder <> ''").OrderExpr("name").Scan(ctx, &out)
	return out, s.dialect.problem("list duties", "", err)
}

// EndDuties keeps duties whose names begin so, and which were not renewed in time, from their holders for good: who asks for one again is
// told that it is not his.
func (s *Store) EndDuties(ctx context.Context, prefix string) error {
	if s.file != "" {
		return nil
	}
	_, err := s.write.ExecContext(ctx, "UPDATE duties SET holder = '', until = 'infinity' WHERE starts_with(name, ?) AND until < now()", prefix)
	return s.dialect.problem("end duties", "", err)
}

// ForgetDuties removes duties whose names begin so and which nobody has renewed for d.
func (s *Store) ForgetDuties(ctx context.Context, prefix string, d time.Duration) error {
	if s.file != "" {
		return nil
	}
	_, err := s.write.ExecContext(ctx, "DELETE FROM duties WHERE starts_with(name, ?) AND until < now() - ? * interval '1 ms'", prefix, d.Milliseconds())
	return s.dialect.problem("forget duties", "", err)
}
