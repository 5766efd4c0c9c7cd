package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sideledger/api/wire"
)

func rollbackPath(id, rest string) string { return "/v1/rollbacks/" + url.PathEscape(id) + rest }

// StartRollback starts a run, or joins the running one; of a window that is rolled back already it
// returns the last one. The server holds the answer back until the run is over, for at most wait
// (whole seconds; 0: it answers at once): see [wire.Rollback.Over].
func (c *Client) StartRollback(ctx context.Context, windowID string, r wire.RollbackRequest, wait time.Duration) (*wire.Rollback, error) {
	body, err := Encode(r)
	if err != nil {
		return nil, fmt.Errorf("encode the rollback: %w", err)
	}
	call := Call{Method: http.MethodPost, Path: windowPath(windowID, "/rollbacks"), Body: body}
	if s := int(wait / time.Second); s > 0 {
		call.Header = map[string]string{"Prefer": "wait=" + strconv.Itoa(s)}
		call.Timeout = callTimeout + wait
	}
	out := new(wire.Rollback)
	if err := c.call(ctx, call, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Rollback returns one run.
func (c *Client) Rollback(ctx context.Context, id string) (*wire.Rollback, error) {
	return read[wire.Rollback](ctx, c, rollbackPath(id, ""))
}

// Pause stops a run between two attempts.
func (c *Client) Pause(ctx context.Context, id string) (*wire.Rollback, error) {
	return answer[wire.Rollback](ctx, c, rollbackPath(id, "/pause"), nil)
}

// Resume goes on with a paused run.
func (c *Client) Resume(ctx context.Context, id string) (*wire.Rollback, error) {
	return answer[wire.Rollback](ctx, c, rollbackPath(id, "/resume"), nil)
}

// Cancel ends a run after what is in flight.
func (c *Client) Cancel(ctx context.Context, id string) (*wire.Rollback, error) {
	return answer[wire.Rollback](ctx, c, rollbackPath(id, "/cancel"), nil)
}

// Confirm gives the second word that a run asked for.
func (c *Client) Confirm(ctx context.Context, id string, r wire.ConfirmRequest) (*wire.Rollback, error) {
	return answer[wire.Rollback](ctx, c, rollbackPath(id, "/confirm"), r)
}

// Verify compares every closed or applied entry with its recorded state. It looks at every third party
// and may take long; it is sent once.
func (c *Client) Verify(ctx context.Context, windowID string) (*wire.VerifyResult, error) {
	call := Call{Method: http.MethodPost, Path: windowPath(windowID, "/verify"), Timeout: 24 * time.Hour}
	a, err := c.once(ctx, call)
	if err != nil {
		return nil, err
	}
	out := new(wire.VerifyResult)
	if err := json.Unmarshal(a.Body, out); err != nil {
		return nil, fmt.Errorf("read the answer of verify: %w", err)
	}
	return out, nil
}
