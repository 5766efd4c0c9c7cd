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

// listTimeout is how long the lists of third parties may take.
const listTimeout = 5 * time.Minute

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

// An UnrecordedQuery says what is looked through for what nobody recorded.
type UnrecordedQuery struct {
	System string          // empty: all that the window's entries name
	Kinds  []string        // empty: those of its entries
	Place  json.RawMessage // where; empty: where its entries are
	All    bool            // also what is older than the window
}

// Unrecorded lists what systems hold that no entry of any window names.
func (c *Client) Unrecorded(ctx context.Context, windowID string, q UnrecordedQuery) (*wire.Unrecorded, error) {
	v := url.Values{}
	if q.System != "" {
		v.Set("system", q.System)
	}
	for _, k := range q.Kinds {
		v.Add("kind", k)
	}
	if len(q.Place) > 0 {
		v.Set("place", string(q.Place))
	}
	if q.All {
		v.Set("all", "true")
	}
	path := windowPath(windowID, "/unrecorded")
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	out := new(wire.Unrecorded)
	return out, c.call(ctx, Call{Method: http.MethodGet, Path: path, Timeout: listTimeout}, out)
}
