package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sideledger/api/wire"
	"sideledger/ledger"
)

// A progress knows the calls with an Idempotency-Key that are being made right now.
type progress struct {
	mu   sync.Mutex
	keys map[ledger.ReplyKey]bool
}

func newProgress() *progress { return &progress{keys: map[ledger.ReplyKey]bool{}} }

// begin reports whether nobody else is at it; end must follow then.
func (p *progress) begin(k ledger.ReplyKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[k] {
		return false
	}
	p.keys[k] = true
	return true
}

func (p *progress) end(k ledger.ReplyKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, k)
}

// keyOf returns the key of a call; nil: it has none.
func keyOf(c echo.Context, in *call) (*ledger.ReplyKey, error) {
	key := in.header.Get(wire.HeaderIdempotencyKey)
	if key == "" && len(in.header.Values(wire.HeaderIdempotencyKey)) == 0 {
		return nil, nil
	}
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if key == "" || len(key) > 255 || strings.ContainsFunc(key, unprintable) {
		return nil, ledger.Invalid(wire.HeaderIdempotencyKey, "want 1 to 255 printable ASCII characters")
	}
	// The path as the router knows it: an id in another spelling is the same thing.
	path := strings.ReplaceAll(c.Path(), ":id", in.id.String())
	return &ledger.ReplyKey{TokenID: in.actor.TokenID, Method: c.Request().Method, Path: path, Key: key}, nil
}

// once runs a changing call under its key, if it has one, and renders its answer. A refusal that asking
// again would not change is kept for the key too; a failure of ours never is.
func once[R any](ctx context.Context, a *API, c echo.Context, in *call, run func(context.Context) (R, error), render func(R) answer) (R, *ledger.Reply, error) {
	var none R
	key, err := keyOf(c, in)
	if err != nil {
		return none, nil, err
	}
	if key == nil {
		result, err := run(ctx)
		if err != nil {
			return none, nil, err
		}
		reply, err := render(result).reply()
		return result, &reply, err
	}
	if !a.progress.begin(*key) {
		return none, nil, &ledger.Error{
			Code: ledger.CodeConflict, Op: "check key", RetryAfter: time.Second, Field: wire.HeaderIdempotencyKey,
			Msg: "the first request with this key is still in progress",
		}
	}
	defer a.progress.end(*key)
	var kept *ledger.Reply
	o := &ledger.Once{Key: *key, RequestHash: a.ledger.HashRequest(in.raw), PlainHash: sha256.Sum256(in.raw), RenderFunc: func(v any) (ledger.Reply, error) {
		result, ok := v.(R)
		if !ok {
			return ledger.Reply{}, fmt.Errorf("render %T: want %T", v, none)
		}
		reply, err := render(result).reply()
		kept = &reply
		return reply, err
	}}
	if err := a.ledger.Answered(ctx, o); err != nil { // before any check: what was done then might be refused by now
		return none, nil, err
	}
	result, err := run(ledger.WithOnce(ctx, o))
	if err != nil {
		return none, nil, a.refused(ctx, c, o, err)
	}
	if kept == nil { // nothing had to change
		reply, err := render(result).reply()
		return result, &reply, err
	}
	return result, kept, nil
}

// refused returns what a call is answered that failed. Where another replica has given the first answer of its key meanwhile, that is
// what stood in its way.
func (a *API) refused(ctx context.Context, c echo.Context, o *ledger.Once, refusal error) error {
	if ledger.CodeOf(refusal) == ledger.CodeConflict {
		var first *ledger.ReplayError
		if err := a.ledger.Answered(ctx, o); errors.As(err, &first) {
			return err
		}
	}
	a.keepRefusal(ctx, c, o, refusal)
	return refusal
}

// keepRefusal stores a conflict or an invalid request under its key, unless that has an answer already, or the refusal says
// when to ask again.
func (a *API) keepRefusal(ctx context.Context, c echo.Context, o *ledger.Once, refusal error) {
	p, later := problemOf(refusal)
	if later > 0 || p.Status != http.StatusConflict && p.Status != http.StatusUnprocessableEntity {
		return
	}
	p.RequestID = requestID(c)
	body, err := encodeBody(p)
	if err != nil {
		return
	}
	err = a.ledger.KeepReply(ctx, o, ledger.Reply{Status: p.Status, Header: map[string]string{"Content-Type": wire.ProblemType}, Body: body})
	if err != nil {
		a.log.WarnContext(ctx, "refusal not kept", slog.String("err", err.Error()), slog.String("request_id", p.RequestID))
	}
}

// replay sends the first answer of a key again.
func (a *API) replay(c echo.Context, r ledger.Reply) error {
	c.Response().Header().Set(wire.HeaderReplayed, "true")
	return a.send(c, r)
}
