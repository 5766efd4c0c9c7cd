package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"sideledger/api/wire"
)

// Effect has the server make a call and record it. within is how long the answer may take; 0: 2 minutes. Sent again
// under the same Idempotency-Key it makes no second call.
func (c *Client) Effect(ctx context.Context, windowID string, r wire.EffectRequest, within time.Duration) (*wire.Effect, error) {
	body, err := Encode(r)
	if err != nil {
		return nil, fmt.Errorf("encode a call: %w", err)
	}
	if within == 0 {
		within = 2 * time.Minute
	}
	out := new(wire.Effect)
	call := Call{Method: http.MethodPost, Path: windowPath(windowID, "/effects"), Key: keyOf(ctx), Body: json.RawMessage(body), Timeout: within}
	return out, c.call(ctx, call, out)
}

// EffectSystems returns at which addresses the server makes calls for a window.
func (c *Client) EffectSystems(ctx context.Context, windowID string) (*wire.EffectSystems, error) {
	return read[wire.EffectSystems](ctx, c, windowPath(windowID, "/effects"))
}
