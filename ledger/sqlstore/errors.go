package sqlstore

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sideledger/ledger"
)

// retryAfter is what a caller is told that was turned away.
const retryAfter = time.Second

// unavailable says that the answer is not known, or that nothing was tried.
func unavailable(op, id, msg string, err error) error {
	return &ledger.Error{Code: ledger.CodeUnavailable, Op: op, ID: id, Msg: msg, RetryAfter: retryAfter, Err: err}
}

// full says that there is no room; nothing was done.
func full(op, id string, err error) error {
	return &ledger.Error{
		Code: ledger.CodeFull, Op: op, ID: id, Msg: "no space is left on the database's disk; nothing was recorded",
		RetryAfter: retryAfter, Err: err,
	}
}

// problem gives a driver's error its code. Errors of the domain and nil pass as they are.
func (d *dialect) problem(op, id string, err error) error {
	var known *ledger.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, ledger.ErrFenced) {
		return err
	}
	switch d.faultFunc(err) {
	case faultUnique:
		return &ledger.Error{Code: ledger.CodeConflict, Op: op, ID: id, Msg: "there is one with this id already", Err: err}
	case faultFull:
		return full(op, id, err)
	case faultRace, faultAway:
		return unavailable(op, id, "the database does not answer; ask again with the same id", err)
	case faultRule, faultOther:
	}
	if id != "" {
		op += " " + id
	}
	return fmt.Errorf("%s: %w", op, err)
}

// isNetwork reports whether a connection broke rather than the database said no.
func isNetwork(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
