package ledger

import (
	"time"

	"github.com/google/uuid"
)

// A Clock tells the time. Production passes time.Now; tests pass their own.
type Clock func() time.Time

// Now returns the clock's time in UTC, cut to the microsecond: what the database can hold, so that
// a time read back equals the time that was hashed into the journal.
func (c Clock) Now() time.Time { return c().UTC().Truncate(time.Microsecond) }

// NewID returns a fresh UUIDv7. It panics only if the system has no randomness left.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
