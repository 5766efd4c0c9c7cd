package ledger

import (
	"time"

	"github.com/google/uuid"
)

// A Role says what a token may do.
type Role string

// The four roles.
const (
	RoleViewer   Role = "viewer"   // reads
	RoleRecorder Role = "recorder" // records in the one window its token is bound to
	RoleOperator Role = "operator" // viewer, and opens, records, seals, keeps, plans, rolls back, resolves
	RoleAdmin    Role = "admin"    // operator, and tokens
)

// A Token lets a caller in. Only its hash is kept.
type Token struct {
	ID        string // shown in lists and in the journal; no secret
	Role      Role
	WindowID  uuid.UUID // the window a recorder is bound to; zero for the other roles
	Hash      [32]byte  // SHA-256 of the secret
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
}

// An Actor is who asks.
type Actor struct {
	TokenID  string // "system" for the server itself, "local" for ledgerd on its own database
	Role     Role
	WindowID uuid.UUID
}
