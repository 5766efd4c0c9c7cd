package ledgertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// counting is a store that only counts.
type counting struct {
	ledger.Store
	done int
}

func (c *counting) Update(context.Context, uuid.UUID, func(ledger.Tx) error) error {
	c.done++
	return nil
}

func (c *counting) Open(context.Context, ledger.Window, func(ledger.Tx) error) error {
	c.done++
	return nil
}

func (c *counting) RevokeToken(context.Context, string, time.Time) error { c.done++; return nil }

func (c *counting) InsertToken(context.Context, ledger.Token) error { c.done++; return errOnPurpose }

func TestFailingStore(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := range 5 {
			inner, called := &counting{}, 0
			s := &FailingStore{Store: inner, FailAt: at, After: after, OnFailFunc: func() { called++ }}
			writes := []func() error{
				func() error { return s.Open(t.Context(), ledger.Window{}, nil) },
				func() error { return s.Update(t.Context(), uuid.Nil, nil) },
				func() error { return s.RevokeToken(t.Context(), "", time.Time{}) },
				func() error { return s.Update(t.Context(), uuid.Nil, nil) },
			}
			for i, w := range writes {
				err := w()
				if fails := i+1 == at; fails != errors.Is(err, ErrInjected) || fails != (ledger.CodeOf(err) == ledger.CodeUnavailable) {
					t.Errorf("after=%v, fail at %d, write %d: %v", after, at, i+1, err)
				}
			}
			want := len(writes)
			if at > 0 && !after {
				want--
			}
			if inner.done != want || s.Writes() != len(writes) || (called == 1) != (at > 0) {
				t.Errorf("after=%v, fail at %d: %d of %d done, told %d times", after, at, inner.done, s.Writes(), called)
			}
		}
	}
	// What fails by itself is not said to be unknown.
	s := &FailingStore{Store: &counting{}, FailAt: 1, After: true}
	if err := s.InsertToken(t.Context(), ledger.Token{}); !errors.Is(err, errOnPurpose) {
		t.Errorf("got %v", err)
	}
}

func TestClock(t *testing.T) {
	c := NewClock()
	if first := c.Now(); first != c.Now() || c.Advance(time.Hour) != start.Add(time.Hour) {
		t.Error("the clock moves by itself, or does not when told")
	}
	c.Set(start)
	if got := c.Ledger().Now(); !got.Equal(start) {
		t.Errorf("it stands at %v", got)
	}
}

func TestStartPostgres(t *testing.T) {
	var p Postgres
	if err := p.Stop(); err != nil {
		t.Errorf("one that never started: %v", err)
	}
	first, second := p.Database(t), p.Database(t)
	if first == second {
		t.Error("two tests share a database")
	}
	dir := p.dir
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if p.cmd != nil || dir == "" {
		t.Error("it did not start, or did not stop")
	}
	t.Run("alone", func(t *testing.T) { StartPostgres(t) })
}
