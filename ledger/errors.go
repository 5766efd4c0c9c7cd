package ledger

import (
	"errors"
	"fmt"
	"time"
)

// A Code classifies an [Error]. The API maps each to one HTTP status, the command to one exit status.
type Code string

const (
	// CodeInvalid: the request itself is wrong (HTTP 422); asking again unchanged never helps.
	CodeInvalid Code = "invalid"
	// CodeMalformed: the request could not be read at all: not JSON, duplicate keys, bad UTF-8 (HTTP 400).
	CodeMalformed Code = "malformed"
	// CodeUnauthenticated: no token, or one that is unknown, revoked or expired.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeForbidden: the token is known and may not do this.
	CodeForbidden Code = "forbidden"
	// CodeNotFound: there is no such thing, or the token may not know of it.
	CodeNotFound Code = "not_found"
	// CodeConflict: the thing is not in a state that allows this.
	CodeConflict Code = "conflict"
	// CodeStale: the caller decided on a state that has moved since (If-Match, plan, seen).
	CodeStale Code = "stale"
	// CodeTooLarge: the body, or one document in it, is over its limit.
	CodeTooLarge Code = "too_large"
	// CodeRateLimited: slow down; RetryAfter says for how long.
	CodeRateLimited Code = "rate_limited"
	// CodeUnavailable: the answer is unknown, a failed commit included: ask again with the same id.
	CodeUnavailable Code = "unavailable"
	// CodeFull: the disk is full; nothing was recorded.
	CodeFull Code = "full"
	// CodeInternal: a mistake of ours. Logged once in full, shown as nothing.
	CodeInternal Code = "internal"
)

// An Error is the one error type of the domain.
type Error struct {
	Code  Code
	Op    string // what was being done, lower case: "record entry"
	ID    string // to what, empty when there is no id yet
	Field string // the field of the request that is wrong, as a JSON pointer; empty when it is none
	// Msg is shown to the caller: it names the fix and never repeats the caller's values.
	Msg        string
	RetryAfter time.Duration // 0: say nothing about when to ask again
	Err        error         // cause; logged, never shown
}

// Error joins op, id, message and cause.
func (e *Error) Error() string {
	s := e.Op
	if e.ID != "" {
		s += " " + e.ID
	}
	if e.Field != "" {
		s += " " + e.Field
	}
	if e.Msg != "" {
		s += ": " + e.Msg
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first [Error] in err's chain, and [CodeInternal] for any other error.
// It returns "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Invalid says that a field of a request is wrong. Field is a JSON pointer into the request body.
func Invalid(field, format string, args ...any) error {
	return &Error{Code: CodeInvalid, Op: "check", Field: field, Msg: fmt.Sprintf(format, args...)}
}

// Conflict says that a thing is not in a state that allows op.
func Conflict(op, id, format string, args ...any) error {
	return &Error{Code: CodeConflict, Op: op, ID: id, Msg: fmt.Sprintf(format, args...)}
}

// Unseen is the [Conflict] of an op that was not done since the third party could not be looked at before it. Cause is
// the look's error.
func Unseen(op, id string, cause error, format string, args ...any) error {
	return &Error{Code: CodeConflict, Op: op, ID: id, Msg: fmt.Sprintf(format, args...), Err: cause}
}

// NotFound says that there is no noun with this id, or none that the caller may know of.
func NotFound(noun, id string) error {
	return &Error{Code: CodeNotFound, Op: "find " + noun, ID: id, Msg: "there is no such " + noun}
}

// ErrFenced is returned by a runner's write that touched no row: the lease is somebody else's now.
// The runner stops at once; what it knew is kept as evidence.
var ErrFenced = errors.New("the lease on this rollback belongs to another runner")
