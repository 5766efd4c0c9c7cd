package client

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sideledger/api/wire"
)

// Codes of an [Error], as the API's problem documents carry them.
const (
	CodeInvalid         = "invalid"
	CodeUnauthenticated = "unauthenticated"
	CodeForbidden       = "forbidden"
	CodeNotFound        = "not_found"
	CodeConflict        = "conflict"
	CodeStale           = "stale"
	CodeTooLarge        = "too_large"
	CodeRateLimited     = "rate_limited"
	CodeInternal        = "internal"
	CodeUnavailable     = "unavailable"
	CodeFull            = "full"
)

// An Error is an answer that is not a success. Problem is what the server said; where something else
// answered (a proxy), only its Status, Title and Detail are set.
type Error struct {
	Status     int
	Method     string
	Path       string // without the query
	Problem    wire.Problem
	RetryAfter time.Duration // 0: it did not say
}

// Error says what the server said, and under which request id.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Problem.Title)
	if e.Problem.Detail != "" {
		b.WriteString(": " + e.Problem.Detail)
	}
	if e.Problem.Field != "" {
		b.WriteString(" (" + e.Problem.Field + ")")
	}
	b.WriteString(" [" + strconv.Itoa(e.Status))
	if e.Problem.RequestID != "" {
		b.WriteString(", request " + e.Problem.RequestID)
	}
	b.WriteString("]")
	return b.String()
}

// CodeOf returns the code of the API's answer in err's chain; "" if there is none: nobody answered, or
// somebody else did.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem.Code
	}
	return ""
}

// Unreachable reports whether err means that no answer of the ledger came: the call may or may not have
// happened, unless nothing was sent.
func Unreachable(err error) bool {
	if err == nil {
		return false
	}
	var e *Error
	if !errors.As(err, &e) {
		return true
	}
	return e.Problem.Code == CodeUnavailable || e.Problem.Code == "" && e.Status >= http.StatusInternalServerError
}

// Refused reports whether err is an answer of the ledger that says that nothing was done. A ledger in safe mode says so
// with the code of an answer that is not known.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Problem.Type == wire.TypeSafeMode || !Unreachable(err))
}

func errorOf(call Call, resp *http.Response) *Error {
	e := &Error{Status: resp.StatusCode, Method: call.Method, Path: pathOnly(call.Path)}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err == nil && kind == wire.ProblemType && json.Unmarshal(body, &e.Problem) == nil {
		return e
	}
	e.Problem = wire.Problem{
		Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode),
		Detail: "the answer is not the ledger's own: is this the right address?",
	}
	return e
}
