package remediators

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"

	"sideledger/ledger"
)

// sheltered keeps a remediator's panic from ending the server: the entry that set it off gets an error, the
// others go on. A look that panicked is an answer of no use, so it is tried as often as the system's attempts
// allow; of an undo nobody knows whether it was sent.
type sheltered struct {
	inner  ledger.Remediator
	client *Client       // nil without a URL
	whoami *WhoamiConfig // nil: there is no way to ask about the credential
	log    *slog.Logger
	system string
	about  ledger.Description // of a remediator that describes itself by the names of its kinds alone
}

// caught turns a panic into an error of the given class. It is deferred.
func (s *sheltered) caught(class ledger.CallClass, err *error) {
	v := recover()
	if v == nil {
		return
	}
	s.say(v)
	*err = &ledger.CallError{Class: class, Detail: "its remediator broke down; the server's log says where"}
}

// say logs a panic with where it happened. Its value may hold what a third party sent, so only its type is kept.
func (s *sheltered) say(v any) {
	s.log.Error("a remediator panicked", "system", s.system, "err", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
}

// Kinds implements [ledger.Remediator].
func (s *sheltered) Kinds() []string { return s.inner.Kinds() }

// Check implements [ledger.Remediator].
func (s *sheltered) Check(d *ledger.Draft) (g ledger.Grading, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.say(v)
			err = ledger.Invalid("", "its remediator cannot read this entry; the server's log says where")
		}
	}()
	return s.inner.Check(d)
}

// Look implements [ledger.Remediator].
func (s *sheltered) Look(ctx context.Context, e *ledger.Entry) (seen ledger.Look, err error) {
	defer s.caught(ledger.CallAnswered, &err)
	return s.inner.Look(ctx, e)
}

// Held implements [ledger.Counter], for remediators that do.
func (s *sheltered) Held(ctx context.Context) (n int, known bool, err error) {
	c, ok := s.inner.(ledger.Counter)
	if !ok {
		return 0, false, nil
	}
	defer s.caught(ledger.CallAnswered, &err)
	return c.Held(ctx)
}

// Describe implements [ledger.Describer], for remediators that do; others say the names of their kinds, and what the
// server's table says of them.
func (s *sheltered) Describe(ctx context.Context) (out ledger.Description, err error) {
	defer s.caught(ledger.CallAnswered, &err)
	if d, ok := s.inner.(ledger.Describer); ok {
		return d.Describe(ctx)
	}
	out = ledger.DescribeKinds(s.inner)
	out.Page, out.BackedBy = s.about.Page, s.about.BackedBy
	for i, k := range out.Kinds {
		if at := slices.IndexFunc(s.about.Kinds, func(a ledger.KindDescription) bool { return a.Kind == k.Kind }); at >= 0 {
			out.Kinds[i] = s.about.Kinds[at]
		}
	}
	return out, nil
}

// close gives back what the remediator holds. Calls under way end by themselves.
func (s *sheltered) close() {
	if c, ok := s.inner.(io.Closer); ok {
		_ = c.Close()
	}
}

// Renamed implements [ledger.Renamer], for remediators that do; without one a resource keeps its name.
func (s *sheltered) Renamed(d *ledger.Draft) (members json.RawMessage) {
	r, ok := s.inner.(ledger.Renamer)
	if !ok {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			s.say(v)
			members = nil
		}
	}()
	return r.Renamed(d)
}

// Canonical implements [ledger.Canonicalizer], for remediators that do; without one an image is as it is.
func (s *sheltered) Canonical(kind string, i ledger.Image) (out ledger.Image) {
	c, ok := s.inner.(ledger.Canonicalizer)
	if !ok {
		return i
	}
	defer func() {
		if v := recover(); v != nil {
			s.say(v)
			out = i
		}
	}()
	return c.Canonical(kind, i)
}

// Rehearse implements [ledger.Rehearser], for remediators that do; others know of nothing that they could make.
func (s *sheltered) Rehearse(kind, name string, place json.RawMessage) (out ledger.Canary) {
	r, ok := s.inner.(ledger.Rehearser)
	if !ok {
		return ledger.Canary{Why: "its remediator does not know how to make a resource of its own"}
	}
	defer func() {
		if v := recover(); v != nil {
			s.say(v)
			out = ledger.Canary{Why: "its remediator broke down; the server's log says where"}
		}
	}()
	return r.Rehearse(kind, name, place)
}

// List implements [ledger.Lister], for remediators that do.
func (s *sheltered) List(ctx context.Context, kind string, place json.RawMessage) (out ledger.Listing, err error) {
	l, ok := s.inner.(ledger.Lister)
	if !ok {
		return ledger.Listing{Why: "its remediator does not list what is there"}, nil
	}
	defer s.caught(ledger.CallAnswered, &err)
	return l.List(ctx, kind, place)
}

// Place implements [ledger.Lister], for remediators that do.
func (s *sheltered) Place(kind string, place json.RawMessage) (out json.RawMessage) {
	l, ok := s.inner.(ledger.Lister)
	if !ok {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			s.say(v)
			out = place
		}
	}()
	return l.Place(kind, place)
}

// Preview implements [ledger.Remediator].
func (s *sheltered) Preview(e *ledger.Entry, seen ledger.Look) (req ledger.Request, err error) {
	defer s.caught(ledger.CallDenied, &err)
	if req, err = s.inner.Preview(e, seen); err == nil && req.Credential.Variable != "" {
		req.More = s.client.MoreSlots()
	}
	return req, err
}

// Undo implements [ledger.Remediator].
func (s *sheltered) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (a ledger.Answer, err error) {
	defer s.caught(ledger.CallAmbiguous, &err)
	return s.inner.Undo(ctx, e, seen)
}
