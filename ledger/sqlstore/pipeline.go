package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A step is one statement of several that are sent together.
type step struct {
	query string
	args  []any
	// rowFunc is called with each row of a query; nil: it returns none.
	rowFunc func(scan scanFunc) error
	// checkFunc is told how many rows a statement touched, and refuses what must not be committed; nil: any number is right.
	checkFunc func(n int64) error
}

// A scanFunc reads the columns of a row.
type scanFunc func(dest ...any) error

// A refusal is what a step's checkFunc said. The statement itself was carried out, and so were those behind it: the transaction
// is not to be committed.
type refusal struct{ error }

// Unwrap implements errors.Unwrap.
func (r refusal) Unwrap() error { return r.error }

func isRefusal(err error) bool { return errors.As(err, new(refusal)) }

// run carries statements out in their order. On PostgreSQL they are sent in one go: a round trip for each is most of what a
// small transaction costs. A statement that fails ends them; the first refusal is returned once all are done.
func (c *conn) run(ctx context.Context, steps ...step) error {
	switch {
	case len(steps) == 0:
		return nil
	case !c.dialect.pipelines:
		return c.runEach(ctx, steps)
	}
	return c.raw.Raw(func(driverConn any) error {
		pg, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", driverConn)
		}
		var b pgx.Batch
		for i := range steps {
			b.Queue(c.dialect.bind(steps[i].query), steps[i].args...)
		}
		res := pg.Conn().SendBatch(ctx, &b)
		err := collect(res, steps)
		if closed := res.Close(); closed != nil && (err == nil || isRefusal(err)) {
			return closed
		}
		return err
	})
}

// collect reads the answers to steps that were sent together.
func collect(res pgx.BatchResults, steps []step) error {
	var refused error
	for i := range steps {
		s := &steps[i]
		if s.rowFunc != nil {
			if err := readRows(res, s); err != nil {
				return err
			}
			continue
		}
		tag, err := res.Exec()
		if err != nil {
			return err
		}
		if err := s.check(tag.RowsAffected()); err != nil && refused == nil {
			refused = err
		}
	}
	return refused
}

func readRows(res pgx.BatchResults, s *step) error {
	found, err := res.Query()
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := s.rowFunc(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}

// check asks the step whether so many rows are right.
func (s *step) check(n int64) error {
	if s.checkFunc == nil {
		return nil
	}
	if err := s.checkFunc(n); err != nil {
		return refusal{err}
	}
	return nil
}

// runEach carries statements out one after the other.
func (c *conn) runEach(ctx context.Context, steps []step) error {
	var refused error
	for i := range steps {
		s := &steps[i]
		if s.rowFunc != nil {
			if err := c.each(ctx, s); err != nil {
				return err
			}
			continue
		}
		res, err := c.exec(ctx, s.query, s.args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if err := s.check(n); err != nil && refused == nil {
			refused = err
		}
	}
	return refused
}

// each calls the step's rowFunc with every row of its query.
func (c *conn) each(ctx context.Context, s *step) (err error) {
	found, err := c.query(ctx, s.query, s.args)
	if err != nil {
		return err
	}
	defer func() {
		if closed := found.Close(); err == nil {
			err = closed
		}
	}()
	for found.Next() {
		if err := s.rowFunc(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}
