package ledger_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A doer is a third party in memory through which the ledger makes calls: "PUT /a" with a body writes the document at
// /a, DELETE removes it.
type doer struct {
	*ledgertest.Third
	sent     int                                                     // calls that had their effect
	derived  ledger.Derived                                          // what Derive returns
	before   func()                                                  // runs when the call has its turn, before it is ready
	answer   func(c ledger.EffectCall) (ledger.EffectAnswer, error)  // in place of the effect; nil: it happens
	after    func(c ledger.EffectCall) (*ledger.EffectAnswer, error) // in place of the answer, after the effect
	deriveFn func(d *ledger.Draft)
	blind    error // what looks return; nil: what is there
	coy      bool  // what a call asks for does not say what the resource will be
}

func (p *doer) Find(name string) (ledger.System, ledger.Remediator, error) {
	sys, _, err := p.Third.Find(name)
	return sys, p, err
}

func (p *doer) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	if p.blind != nil {
		return ledger.Look{}, p.blind
	}
	return p.Third.Look(ctx, e)
}

func (p *doer) Admits(ledger.EffectCall) error { return nil }

func (p *doer) Derive(_ context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	if p.deriveFn != nil {
		p.deriveFn(d)
		return p.derived, nil
	}
	d.Kind, d.Resource = "test", json.RawMessage(`{"path":"`+c.Path+`"}`)
	switch {
	case c.Method == http.MethodDelete:
		d.Action = ledger.ActionDelete
	case p.Get(c.Path) == "":
		d.Action = ledger.ActionCreate
	default:
		d.Action = ledger.ActionUpdate
	}
	if c.Method != http.MethodDelete && !p.coy {
		d.After = ledger.Image{JSON: c.Body}
	}
	return p.derived, nil
}

func (p *doer) Send(_ context.Context, c ledger.EffectCall, readyFunc func() error) (ledger.EffectAnswer, error) {
	if p.before != nil {
		p.before()
	}
	if err := readyFunc(); err != nil {
		return ledger.EffectAnswer{}, err
	}
	if p.answer != nil {
		return p.answer(c)
	}
	p.sent++
	switch {
	case c.Method == http.MethodDelete:
		p.Drop(c.Path)
	case !c.Reads():
		p.Set(c.Path, string(c.Body))
	}
	if p.after != nil {
		if a, err := p.after(c); a != nil || err != nil {
			if err != nil {
				return ledger.EffectAnswer{}, err
			}
			return *a, nil
		}
	}
	return ledger.EffectAnswer{Status: 200, Body: []byte(p.Get(c.Path))}, nil
}

func newDoer(t *testing.T) (*stand, *doer) {
	t.Helper()
	s := newStand(t)
	p := &doer{Third: s.third}
	s.ledger = ledger.New(ledger.Config{
		Store: s.store, Systems: p, Clock: s.clock, Log: slog.New(slog.DiscardHandler), Waker: noWaker{}, Cipher: testCipher(t),
	})
	return s, p
}

func put(at, body string) ledger.EffectCall {
	return ledger.EffectCall{Method: "PUT", Path: at, Body: []byte(body)}
}

// do makes a call under an Idempotency-Key; "" is none.
func (s *stand) do(c ledger.EffectCall, key string, with ...func(*ledger.Draft)) (*ledger.Effected, error) {
	d := ledger.Draft{System: "sys"}
	for _, fn := range with {
		fn(&d)
	}
	ctx := s.Context()
	if key != "" {
		ctx = ledger.WithOnce(ctx, &ledger.Once{
			Key: ledger.ReplyKey{TokenID: "t", Method: "POST", Path: "/p", Key: key}, RequestHash: [32]byte{1},
			RenderFunc: func(v any) (ledger.Reply, error) {
				e := v.(*ledger.Effected)
				body := "no answer"
				if e.Answer != nil {
					body = string(e.Answer.Body)
				}
				return ledger.Reply{Status: 201, Body: []byte(string(e.Outcome) + " " + string(e.Entry.State) + " " + body)}, nil
			},
		})
	}
	return s.ledger.Effect(ctx, s.window, d, c)
}

func (s *stand) mustDo(c ledger.EffectCall, key string, with ...func(*ledger.Draft)) *ledger.Effected {
	s.Helper()
	out, err := s.do(c, key, with...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// wantEffect compares outcome, the state of the entry as it is stored, and the failure.
func (s *stand) wantEffect(out *ledger.Effected, want string) *ledger.Entry {
	s.Helper()
	e, err := s.ledger.Entry(s.Context(), out.Entry.ID)
	if err != nil {
		s.Fatal(err)
	}
	if got := strings.TrimSpace(string(out.Outcome) + " " + string(e.State) + " " + out.Failure); got != want {
		s.Errorf("it is %q (%s), want %q", got, out.Detail, want)
	}
	return e
}
