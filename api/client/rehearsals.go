package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sideledger/api/wire"
)

// Rehearse makes a harmless resource of each kind of a system that has one, changes it and takes it back. The server
// holds the answer back until that is over, for at most wait (whole seconds): see [wire.Rehearsal.Over].
func (c *Client) Rehearse(ctx context.Context, r wire.RehearsalRequest, wait time.Duration) (*wire.Rehearsal, error) {
	body, err := Encode(r)
	if err != nil {
		return nil, fmt.Errorf("encode the rehearsal: %w", err)
	}
	call := Call{Method: http.MethodPost, Path: "/v1/rehearsals", Key: keyOf(ctx), Body: body, Timeout: callTimeout + 2*wait}
	if s := int(wait / time.Second); s > 0 {
		call.Header = map[string]string{"Prefer": "wait=" + strconv.Itoa(s)}
	}
	out := new(wire.Rehearsal)
	return out, c.call(ctx, call, out)
}

// Rehearsal tells a rehearsal by its own window.
func (c *Client) Rehearsal(ctx context.Context, windowID string) (*wire.Rehearsal, error) {
	return read[wire.Rehearsal](ctx, c, windowPath(windowID, "/rehearsal"))
}
