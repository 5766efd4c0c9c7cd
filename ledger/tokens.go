package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math/big"

	"github.com/google/uuid"

	"sideledger/ledger/journal"
)

// A secret reads sl_<role>_<32 base62>_<6 base62>: a prefix that scanners know, 190 bits of randomness,
// and a checksum that tells a mistyped token from a foreign one without asking the store.
const (
	tokenPrefix = "sl"
	tokenLength = 32
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// CreateToken makes a token and returns its secret, which is not kept. A recorder names its window; the
// other roles name none. Codes: invalid, not_found (the window).
func (l *Ledger) CreateToken(ctx context.Context, t Token) (string, Token, error) {
	switch t.Role {
	case RoleRecorder:
		if t.WindowID == uuid.Nil {
			return "", Token{}, Invalid("/window_id", "a recorder is bound to one window")
		}
		if _, err := l.store.FindWindow(ctx, t.WindowID); err != nil {
			return "", Token{}, err
		}
	case RoleViewer, RoleOperator, RoleAdmin:
		if t.WindowID != uuid.Nil {
			return "", Token{}, Invalid("/window_id", "only a recorder is bound to a window")
		}
	default:
		return "", Token{}, Invalid("/role", "want viewer, recorder, operator or admin")
	}
	secret := newSecret(t.Role)
	t.ID, t.Hash, t.CreatedAt = "tok_"+randomText(10), sha256.Sum256([]byte(secret)), l.clock.Now()
	if !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(t.CreatedAt) {
		return "", Token{}, Invalid("/expires", "want a time to come")
	}
	return secret, t, l.store.InsertToken(ctx, t)
}

func newSecret(role Role) string {
	body := fmt.Sprintf("%s_%s_%s", tokenPrefix, role, randomText(tokenLength))
	return body + "_" + checksum(body)
}

// checksum writes CRC-32 in six base62 digits.
func checksum(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	out := make([]byte, 6)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out)
}

func randomText(n int) string {
	out := make([]byte, n)
	for i := range out {
		d, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			panic(err) // the system has no randomness left
		}
		out[i] = base62[d.Int64()]
	}
	return string(out)
}

// wellFormed reports whether a secret's checksum holds.
func wellFormed(secret string) bool {
	n := len(secret) - 7
	return n > 0 && secret[n] == '_' && checksum(secret[:n]) == secret[n+1:]
}

// Authenticate returns whose token this is. A token is valid at once when it is made, and never again
// once it is revoked or has expired. Codes: unauthenticated.
func (l *Ledger) Authenticate(ctx context.Context, secret string) (Actor, error) {
	refused := &Error{Code: CodeUnauthenticated, Op: "authenticate", Msg: "the token is not valid"}
	if !wellFormed(secret) {
		return Actor{}, refused
	}
	t, err := l.store.FindToken(ctx, sha256.Sum256([]byte(secret)))
	if err != nil {
		return Actor{}, err
	}
	if t == nil || !t.RevokedAt.IsZero() || !t.ExpiresAt.IsZero() && !l.clock.Now().Before(t.ExpiresAt) {
		return Actor{}, refused
	}
	return Actor{TokenID: t.ID, Role: t.Role, WindowID: t.WindowID}, nil
}

// Tokens lists all tokens, oldest first, without secrets.
func (l *Ledger) Tokens(ctx context.Context) ([]Token, error) { return l.store.ListTokens(ctx) }

// RevokeToken ends a token at once. Codes: not_found.
func (l *Ledger) RevokeToken(ctx context.Context, id string) error {
	return l.store.RevokeToken(ctx, id, l.clock.Now())
}

// Records reads a window's journal; none is an empty list. It does not say whether the window exists.
func (l *Ledger) Records(ctx context.Context, q RecordQuery) ([]journal.Record, error) {
	return l.store.ListRecords(ctx, q)
}

// SystemList lists the configured third parties with the condition of their lanes, without secrets.
func (l *Ledger) SystemList() []SystemStatus {
	list := l.systems.List()
	for i := range list {
		list[i].Credential = l.credentials.last(list[i].Name)
	}
	return list
}
