package api

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// answerOf maps a domain code to what the API answers with. It is the only such table.
var answerOf = map[ledger.Code]struct {
	status int
	code   string // as the caller sees it
	title  string
	detail string // where the error brings no message that may be shown
}{
	ledger.CodeMalformed:       {http.StatusBadRequest, "invalid", "The request cannot be read", "send JSON in UTF-8, with every name once in an object"},
	ledger.CodeInvalid:         {http.StatusUnprocessableEntity, "invalid", "The request is wrong", "see the call in /docs"},
	ledger.CodeUnauthenticated: {http.StatusUnauthorized, "unauthenticated", "No valid token", "send Authorization: Bearer TOKEN; a token may be unknown, expired or revoked"},
	ledger.CodeForbidden:       {http.StatusForbidden, "forbidden", "Not allowed", "the token's role does not allow this"},
	ledger.CodeNotFound:        {http.StatusNotFound, "not_found", "Not found", "there is nothing here, or nothing that this token may know of"},
	ledger.CodeConflict:        {http.StatusConflict, "conflict", "Not in this state", "read it again and decide anew"},
	ledger.CodeStale:           {http.StatusPreconditionFailed, "stale", "It has moved since", "read it again and decide anew"},
	ledger.CodeTooLarge:        {http.StatusRequestEntityTooLarge, "too_large", "Too large", "send less at once"},
	ledger.CodeRateLimited:     {http.StatusTooManyRequests, "rate_limited", "Too many requests", "slow down"},
	ledger.CodeUnavailable:     {http.StatusServiceUnavailable, "unavailable", "Not available", "the outcome is not known: ask again with the same id or Idempotency-Key"},
	ledger.CodeFull:            {http.StatusInsufficientStorage, "full", "The disk is full", "nothing was recorded"},
	ledger.CodeInternal:        {http.StatusInternalServerError, "internal", "A mistake of the server", "it is logged under this request id"},
}

// problemOf describes an error to the caller. retryAfter is in whole seconds; 0: say nothing.
func problemOf(err error) (p wire.Problem, retryAfter int) {
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return routerProblem(he.Code), 0
	}
	code := ledger.CodeOf(err)
	if code == ledger.CodeInternal && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		code = ledger.CodeUnavailable
	}
	row, ok := answerOf[code]
	if !ok {
		code = ledger.CodeInternal
		row = answerOf[code]
	}
	p = wire.Problem{Type: "/docs#" + row.code, Title: row.title, Status: row.status, Detail: row.detail, Code: row.code}
	if errors.Is(err, ledger.ErrSafeMode) {
		p.Type = wire.TypeSafeMode
	}
	var e *ledger.Error
	if errors.As(err, &e) && code != ledger.CodeInternal {
		if e.Msg != "" {
			p.Detail = e.Msg
		}
		p.Field = e.Field
		retryAfter = int(math.Ceil(e.RetryAfter.Seconds()))
	}
	return p, retryAfter
}

// routerProblem is what the router itself refuses.
func routerProblem(status int) wire.Problem {
	switch status {
	case http.StatusMethodNotAllowed:
		return wire.Problem{
			Type: "/docs#invalid", Title: "Method not allowed", Status: status, Code: "invalid",
			Detail: "the header Allow lists what this address takes",
		}
	case http.StatusNotFound:
		p, _ := problemOf(&ledger.Error{Code: ledger.CodeNotFound})
		return p
	case http.StatusRequestEntityTooLarge:
		p, _ := problemOf(&ledger.Error{Code: ledger.CodeTooLarge})
		return p
	default:
		if status >= http.StatusInternalServerError {
			p, _ := problemOf(&ledger.Error{Code: ledger.CodeInternal})
			return p
		}
		p, _ := problemOf(&ledger.Error{Code: ledger.CodeInvalid})
		p.Status = status
		return p
	}
}

// fail answers with a problem. What is internal is logged here, once, and shown as nothing.
func (a *API) fail(err error, c echo.Context) {
	if c.Response().Committed {
		a.log.WarnContext(c.Request().Context(), "answer broke off", slog.String("err", err.Error()), slog.String("request_id", requestID(c)))
		return
	}
	p, retryAfter := problemOf(err)
	p.RequestID = requestID(c)
	if p.Status >= http.StatusInternalServerError {
		a.log.ErrorContext(c.Request().Context(), "request failed", slog.String("err", err.Error()), slog.String("request_id", p.RequestID),
			slog.String("route", routeName(c)))
	}
	h := c.Response().Header()
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="sideledger"`)
	}
	c.Set(problemKey, p.Code)
	body, err := encodeBody(p)
	if err != nil {
		a.log.ErrorContext(c.Request().Context(), "problem not written", slog.String("err", err.Error()))
		return
	}
	a.deadline(c)
	if err := c.Blob(p.Status, wire.ProblemType, body); err != nil {
		a.log.DebugContext(c.Request().Context(), "answer not taken", slog.String("err", err.Error()))
	}
}
