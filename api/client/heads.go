package client

import (
	"context"
	"net/http"

	"sideledger/api/wire"
)

// Heads keeps the heads that a ledger answered, and hands them back with later calls: a ledger that was restored and lacks
// one of them finds out by it. Implementations are safe for concurrent use and keep what they fail at to themselves: a call is
// never refused over it.
type Heads interface {
	// For returns what to send with a call of this path; none: nothing.
	For(path string) []string
	// Saw keeps the Ledger-Head of an answer.
	Saw(head string)
}

// sendHeads puts what is kept into a request.
func (c *Client) sendHeads(path string, h http.Header) {
	if c.heads == nil {
		return
	}
	for _, v := range c.heads.For(path) {
		h.Add(wire.HeaderHead, v)
	}
}

// saw keeps the head of an answer, and passes its warning on.
func (c *Client) saw(h http.Header) {
	if v := h.Get(wire.HeaderHead); v != "" && c.heads != nil {
		c.heads.Saw(v)
	}
	if v := h.Get(wire.HeaderWarning); v != "" && c.warn != nil {
		c.warn(v)
	}
}

// Head returns a signed head over all windows of the ledger.
func (c *Client) Head(ctx context.Context) (*wire.SignedHead, error) {
	return read[wire.SignedHead](ctx, c, "/v1/head")
}
