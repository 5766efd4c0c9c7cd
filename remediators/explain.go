package remediators

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"sideledger/ledger"
)

// A credentialError says that a credential could not be resolved, so that nothing was sent.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return e.err.Error() }

// Errors about bodies. They never hold a byte of one.
var (
	errBodyLarge    = errors.New("the answer is larger than 1 MiB")
	errBodyCut      = errors.New("the answer was cut off")
	errBodySlow     = errors.New("the answer did not end within the time")
	errBodyEncoding = errors.New("the answer has an encoding that was not asked for")
)

// readBody reads an answer within the limits, before and after decompression. Only gzip is decoded, for
// servers that send it unasked.
func readBody(ctx context.Context, resp *http.Response) ([]byte, error) {
	if resp.ContentLength == 0 {
		return nil, nil // also where a server that compresses by habit names an encoding
	}
	var r io.Reader = resp.Body
	switch strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))) {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(io.LimitReader(resp.Body, maxBody+1))
		if err != nil {
			return nil, whyCut(ctx, errBodyEncoding)
		}
		r = z
	default:
		return nil, errBodyEncoding
	}
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	switch {
	case len(body) > maxBody:
		return nil, errBodyLarge
	case err != nil:
		return nil, whyCut(ctx, errBodyCut)
	}
	return body, nil
}

// whyCut tells a body that took too long from one that broke off or cannot be read.
func whyCut(ctx context.Context, otherwise error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errBodySlow
	}
	return otherwise
}

// explain turns a transport's error into what is known about the call, and says what it means for the
// breaker. Nothing of the request, and nothing the third party sent, is in it.
func explain(ctx context.Context, err error, connected bool) (*ledger.CallError, Result) {
	var (
		refused *deniedError
		noCred  *credentialError
	)
	switch {
	case errors.As(err, &refused):
		return &ledger.CallError{Class: ledger.CallDenied, Detail: refused.why}, ResultNothing
	case errors.As(err, &noCred):
		return &ledger.CallError{Class: ledger.CallDenied, Detail: noCred.Error()}, ResultNothing
	}
	out := &ledger.CallError{Class: ledger.CallAmbiguous, Detail: "sent, and no answer came", Err: cause(err)}
	if !connected {
		out.Class, out.Detail = ledger.CallNotSent, unreachable(err)
	}
	if ctx.Err() != nil { // the caller's own end, not the third party's silence
		out.Err = ctx.Err()
		return out, ResultNothing
	}
	return out, ResultSilent
}

// unreachable says in fixed words why no connection was made.
func unreachable(err error) string {
	var (
		dns    *net.DNSError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		name   x509.HostnameError
	)
	switch {
	case errors.As(err, &dns):
		return "the name was not found"
	case errors.As(err, &cert), errors.As(err, &name):
		return "the certificate is not valid for this address"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no connection within the time"
	default:
		return "no connection was made"
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// cause keeps what is safe to log: errors of the network and the system, never one that may quote the
// request's address or the answer's bytes.
func cause(err error) error {
	var (
		op    *net.OpError
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &op):
		return op
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &cert):
		return errors.New("tls: the certificate could not be verified")
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	default:
		return errors.New("the transport gave up")
	}
}
