package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"sideledger/api/wire"
)

// A Selection picks entries of a window. The zero value picks all. Terms are as in [wire.RollbackRequest].
type Selection struct {
	Only    []string
	Exclude []string
	ToEntry string // id or number
	ToTag   string
	// RestoreSnapshot plans a rollback of the whole window that restores its snapshot.
	RestoreSnapshot bool
}

// Plan says what a rollback would do right now.
func (c *Client) Plan(ctx context.Context, windowID string, sel Selection) (*wire.Plan, error) {
	var steps []wire.PlanStep
	p, err := c.EachStep(ctx, windowID, sel, func(s wire.PlanStep) error {
		steps = append(steps, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.Steps = steps
	return p, nil
}

// EachStep makes a plan and calls each with every step as it arrives, newest entry first. It returns the
// plan without steps. A plan that broke off in the middle is an error, never a shorter plan. An error of
// each ends the call and is returned.
func (c *Client) EachStep(ctx context.Context, windowID string, sel Selection, each func(wire.PlanStep) error) (*wire.Plan, error) {
	v := url.Values{}
	for _, t := range sel.Only {
		v.Add("only", t)
	}
	for _, t := range sel.Exclude {
		v.Add("exclude", t)
	}
	setString(v, "to_entry", sel.ToEntry)
	setString(v, "to_tag", sel.ToTag)
	if sel.RestoreSnapshot {
		v.Set("restore_snapshot", "true")
	}
	resp, err := c.open(ctx, Call{Method: http.MethodGet, Path: withQuery(windowPath(windowID, "/plan"), v)})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	p, err := decodePlan(json.NewDecoder(resp.Body), each)
	if err != nil {
		return nil, fmt.Errorf("plan of %s: %w", windowID, err)
	}
	return p, nil
}

// decodePlan reads the members of a plan in the order in which they come.
func decodePlan(dec *json.Decoder, each func(wire.PlanStep) error) (*wire.Plan, error) {
	var p wire.Plan
	if err := expect(dec, json.Delim('{')); err != nil {
		return nil, err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, broken(err)
		}
		if name == "steps" {
			err = decodeSteps(dec, each)
		} else {
			err = broken(dec.Decode(memberOf(&p, name)))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return nil, err
	}
	if p.Fingerprint == "" {
		return nil, errors.New("it ends without a fingerprint")
	}
	return &p, nil
}

// memberOf returns where the member of a plan that has this name is kept.
func memberOf(p *wire.Plan, name json.Token) any {
	members := map[json.Token]any{
		"window_id": &p.WindowID, "computed_at": &p.ComputedAt, "counts": &p.Counts, "critical_path": &p.CriticalPath,
		"estimate": &p.Estimate, "fingerprint": &p.Fingerprint,
	}
	if to, ok := members[name]; ok {
		return to
	}
	return new(json.RawMessage) // of a later version
}

func decodeSteps(dec *json.Decoder, each func(wire.PlanStep) error) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	for dec.More() {
		var s wire.PlanStep
		if err := dec.Decode(&s); err != nil {
			return broken(err)
		}
		if err := each(s); err != nil {
			return err
		}
	}
	return expect(dec, json.Delim(']'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return broken(err)
	}
	if t != want {
		return fmt.Errorf("want %v in the answer", want)
	}
	return nil
}

func broken(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the answer broke off: %w", err)
}

// Journal returns the chained journal of a window as JSON lines; package ledger/journal reads and
// verifies them. The caller closes it. A journal that broke off has no head line, which verifying shows.
func (c *Client) Journal(ctx context.Context, windowID string) (io.ReadCloser, error) {
	resp, err := c.open(ctx, Call{Method: http.MethodGet, Path: windowPath(windowID, "/journal")})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
