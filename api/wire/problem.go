package wire

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// TypeSafeMode is the type of the problem that a ledger in safe mode refuses a change with: nothing was done.
const TypeSafeMode = "/docs#safe-mode"

// Names of headers that the API adds to those of HTTP.
const (
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderReplayed       = "Idempotency-Replayed" // "true" on an answer that was given before
	HeaderRequestID      = "X-Request-Id"
)

// A Problem is the body of every answer that is not a success (RFC 9457). It never repeats what the
// caller sent.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is one of invalid, unauthenticated, forbidden, not_found, conflict, stale, too_large,
	// rate_limited, internal, unavailable, full.
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Field     string `json:"field,omitzero"` // JSON pointer into the body, or the name of a parameter; left out: none
}
