package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// A Vigil watches over what the ledger once had. It is safe for concurrent use.
type Vigil interface {
	// Seal returns what a client keeps of a head that it is answered.
	Seal(windowID uuid.UUID, h ledger.Head) string
	// Check compares what a client kept with what the ledger has; what is lacking puts it into safe mode. Text that
	// Seal did not write is passed over.
	Check(ctx context.Context, kept string) error
	// Safe returns why the ledger takes no changes; nil: it does.
	Safe() *ledger.SafeMode
	// Aside keeps a fact durably while the ledger takes no changes.
	Aside(ctx context.Context, c wire.SpoolCall) error
	// Signed returns a signed note over the heads of all windows, and the public half of its key.
	Signed(ctx context.Context) (note, key string, err error)
	// Warning is said with every answer; empty: nothing.
	Warning() string
}

// keptHeads is how many heads one request may carry.
const keptHeads = 8

func (a *API) safe() *ledger.SafeMode {
	if a.Vigil == nil {
		return nil
	}
	return a.Vigil.Safe()
}

func (a *API) warnings() []string {
	if a.Vigil == nil || a.Vigil.Warning() == "" {
		return nil
	}
	return []string{a.Vigil.Warning()}
}

// warn says with an answer which promises are not kept right now.
func (a *API) warn(h http.Header) {
	for _, w := range a.warnings() {
		h.Set(wire.HeaderWarning, w)
	}
	if safe := a.safe(); safe != nil {
		h.Set(wire.HeaderWarning, "safe mode: "+safe.Text())
	}
}

// durability is what an answered record survives; empty: nobody knows.
func (a *API) durability() ledger.Durability {
	if a.DurableFunc == nil {
		return ""
	}
	return a.DurableFunc()
}

// sayDurable says with the answer to a change what it survives.
func (a *API) sayDurable(h http.Header, d ledger.Durability) {
	if d != "" {
		h.Set(wire.HeaderDurability, string(d))
	}
}

// sealed puts the head that an answer shows into a header, for the client to keep and to send back.
func (a *API) sealed(ans answer) answer {
	if a.Vigil == nil || ans.window == uuid.Nil || ans.head.Number == 0 {
		return ans
	}
	header := map[string]string{wire.HeaderHead: a.Vigil.Seal(ans.window, ans.head)}
	for k, v := range ans.header {
		header[k] = v
	}
	ans.header = header
	return ans
}

// checkKept compares the heads that a client kept with what the ledger has.
func (a *API) checkKept(ctx context.Context, values []string) error {
	if a.Vigil == nil {
		return nil
	}
	for i, v := range values {
		if i == keptHeads {
			break
		}
		if err := a.Vigil.Check(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// aside answers a changing call while the ledger is in safe mode: a fact is kept in the side journal, 202; anything else is
// refused, 503.
func (a *API) aside(c echo.Context, r route, in *call, safe *ledger.SafeMode) error {
	if !r.fact {
		return safe.Err("check safe mode")
	}
	ctx := c.Request().Context()
	path := strings.ReplaceAll(c.Path(), ":id", in.id.String())
	body, ans, err := a.factOf(r, in)
	if err != nil {
		return err
	}
	if ans.body == nil {
		return safe.Err("check safe mode") // an intent
	}
	key := in.header.Get(wire.HeaderIdempotencyKey)
	if key == "" {
		key = ledger.NewID().String()
	}
	sum := sha256.Sum256([]byte(in.actor.TokenID + " " + key))
	err = a.Vigil.Aside(ctx, wire.SpoolCall{
		At: a.Clock.Now(), Method: http.MethodPost, Path: path, Key: "aside-" + hex.EncodeToString(sum[:16]), Body: body,
	})
	if err != nil {
		return &ledger.Error{Code: ledger.CodeUnavailable, Op: "keep a fact aside", Msg: "the fact was not kept; ask again with the same id", Err: err}
	}
	a.sayDurable(c.Response().Header(), ledger.DurabilityLocal)
	return a.write(c, ans)
}

const asideWarning = "the ledger is in safe mode: this fact is kept aside and stands in the ledger once an operator has recovered it"

// factOf returns the body of a fact with an id in every entry, and its answer; an answer without a body: it is no fact.
func (a *API) factOf(r route, in *call) (json.RawMessage, answer, error) {
	ans := answer{status: http.StatusAccepted}
	switch {
	case strings.HasSuffix(r.path, "/applied"):
		ans.body = wire.Aside{ID: in.id.String(), State: "applied", Warnings: []string{asideWarning}}
		return in.raw, ans, nil
	case strings.HasSuffix(r.path, "/batch"):
		var batch struct {
			Entries []json.RawMessage `json:"entries"`
		}
		if err := json.Unmarshal(in.raw, &batch); err != nil {
			return nil, ans, malformed(err)
		}
		list := wire.AsideList{Items: make([]wire.Aside, 0, len(batch.Entries))}
		for i, e := range batch.Entries {
			raw, one, err := entryAside(in.id, e)
			if one == nil || err != nil {
				return nil, ans, err
			}
			batch.Entries[i] = raw
			list.Items = append(list.Items, *one)
		}
		body, err := encodeBody(batch)
		ans.body = list
		return body, ans, err
	}
	body, one, err := entryAside(in.id, in.raw)
	if one != nil {
		ans.body = *one
	}
	return body, ans, err
}

// entryAside gives an applied entry an id, if it has none; nil: it is an intent.
func entryAside(windowID uuid.UUID, raw json.RawMessage) (json.RawMessage, *wire.Aside, error) {
	var d struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, nil, malformed(err)
	}
	if d.State != string(ledger.EntryApplied) {
		return nil, nil, nil
	}
	if d.ID == "" {
		d.ID = ledger.NewID().String()
		raw = append(fmt.Appendf(nil, `{"id":%q,`, d.ID), raw[1:]...) // it has a state, so it has a member
	}
	return raw, &wire.Aside{ID: d.ID, WindowID: windowID.String(), State: d.State, Warnings: []string{asideWarning}}, nil
}

func malformed(err error) error {
	return &ledger.Error{Code: ledger.CodeMalformed, Op: "read a fact", Err: err}
}

// signedHead answers the signed heads of all windows.
func (a *API) signedHead(ctx context.Context, _ *call) (answer, error) {
	if a.Vigil == nil {
		return answer{}, &ledger.Error{Code: ledger.CodeNotFound, Op: "sign heads"}
	}
	note, key, err := a.Vigil.Signed(ctx)
	return answer{body: wire.SignedHead{Note: note, Key: key}}, err
}
