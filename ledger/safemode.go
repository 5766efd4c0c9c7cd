package ledger

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A SafeMode says why the ledger takes no changes: it is older than something that it answered or mirrored once, as
// after a restore of its own host. It ends with a recovery and nothing else.
type SafeMode struct {
	Since   time.Time
	Missing []Missing // at least one
}

// A Missing is one thing that the ledger once had and has not.
type Missing struct {
	WindowID uuid.UUID // zero: it is about no window
	Have     int64     // newest record here; 0: the window is not there at all
	Want     int64     // newest record that is known of elsewhere
	Hash     string    // of record Want, 64 hex digits; empty: not known
	Fork     bool      // the record Want is here too, with another hash: two histories
	From     string    // who knows of it: "mirror folder:/mnt/m", "client"
	Detail   string    // in words, where the numbers do not say it
}

// String says what is missing in one line.
func (m Missing) String() string {
	switch {
	case m.Detail != "":
		return fmt.Sprintf("%s (%s)", m.Detail, m.From)
	case m.Fork:
		return fmt.Sprintf("window %s: record %d is another one here than at the %s: two histories", m.WindowID, m.Want, m.From)
	case m.Have == 0:
		return fmt.Sprintf("window %s is not here; the %s has %d records of it", m.WindowID, m.From, m.Want)
	}
	return fmt.Sprintf("window %s: records %d to %d are missing; the %s has them", m.WindowID, m.Have+1, m.Want, m.From)
}

// same reports whether two say the same of one window.
func (m Missing) same(o Missing) bool {
	return m.WindowID == o.WindowID && m.Fork == o.Fork && m.From == o.From && m.Detail == o.Detail
}

// With returns s with one more thing missing, or with what it says of it brought up to date; s may be nil. changed is
// false if s says it already.
func (s *SafeMode) With(now time.Time, m Missing) (out *SafeMode, changed bool) {
	next := SafeMode{Since: now}
	if s != nil {
		next.Since = s.Since
		next.Missing = append(next.Missing, s.Missing...)
	}
	for i, old := range next.Missing {
		if !old.same(m) {
			continue
		}
		if old.Want >= m.Want {
			return s, false
		}
		next.Missing[i] = m
		return &next, true
	}
	if len(next.Missing) >= mostMissing {
		return s, false
	}
	next.Missing = append(next.Missing, m)
	return &next, true
}

// mostMissing limits what is kept and shown.
const mostMissing = 1000

// ErrSafeMode marks a refusal of a ledger in safe mode: other than with other errors of CodeUnavailable it is known that
// nothing was done.
var ErrSafeMode = errors.New("nothing was done")

// Err is what a change is refused with; it is an [ErrSafeMode].
func (s *SafeMode) Err(op string) error {
	return &Error{Code: CodeUnavailable, Op: op, Err: ErrSafeMode, Msg: "safe mode: " + s.Text() +
		". Nothing is changed or undone until an operator runs `ledgerd recover`; facts are taken"}
}

// Text says what is missing, a few things at most.
func (s *SafeMode) Text() string {
	const few = 5
	parts := []string{"the ledger is older than what it once answered"}
	for i, m := range s.Missing {
		if i == few {
			parts = append(parts, fmt.Sprintf("and %d more", len(s.Missing)-few))
			break
		}
		parts = append(parts, m.String())
	}
	return strings.Join(parts, "; ")
}
