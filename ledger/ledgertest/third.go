package ledgertest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sideledger/ledger"
)

// Third is a third party in memory, with its remediator: a resource {"path": P} holds one document; an
// undo writes the before-image back. It counts what it changed, and can misbehave.
type Third struct {
	// OnUndo and OnLook run first in a call, with the lock held: they may touch State, not call methods.
	// n counts the calls from 1. An error is returned in place of the answer; with after the effect of the
	// undo happens all the same.
	OnUndo func(n int, path string) (after bool, err error)
	OnLook func(n int, path string) error
	// OnAnswer gives the answer of an undo that has no effect; ok false: the undo happens as always.
	OnAnswer func(n int, path string) (a ledger.Answer, ok bool)
	Blind    map[string]bool // paths that cannot be read
	Unproven map[string]bool // paths whose absence may as well mean "not for you"
	Gone     atomic.Bool     // its systems are not configured any more
	Guard    ledger.Guard    // of every system
	HeldFunc func() (n int, known bool, err error)
	Patience time.Duration        // how long a look after an undo goes on; 0: one look
	Post     bool                 // undos are not safe to repeat
	Grade    ledger.Reversibility // empty: exact
	Residue  []string             // what somebody has to be told of every undo
	Rename   bool                 // what an undo brings back gets a new name, and so do updates whose after says one: {"path": …}
	State    map[string]string    // path → document; not there: absent. Guarded by the lock: see Set and Get

	mu      sync.Mutex
	effects []string
	names   int // given so far
	undos   int
	looks   int
	parked  map[string]bool
}

// NewThird returns a third party without resources.
func NewThird() *Third {
	return &Third{State: map[string]string{}, Blind: map[string]bool{}, Unproven: map[string]bool{}, parked: map[string]bool{}}
}

// Path returns the path in a resource; empty: it has none.
func Path(resource json.RawMessage) string {
	var r struct{ Path string }
	_ = json.Unmarshal(resource, &r)
	return r.Path
}

// Kinds implements [ledger.Remediator].
func (p *Third) Kinds() []string { return []string{""} }

// Check implements [ledger.Remediator].
func (p *Third) Check(*ledger.Draft) (ledger.Grading, error) {
	grade := p.Grade
	if grade == "" {
		grade = ledger.ReversibleExact
	}
	return ledger.Grading{Reversible: grade, CanLook: true}, nil
}

// Look implements [ledger.Remediator].
func (p *Third) Look(_ context.Context, e *ledger.Entry) (ledger.Look, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := Path(e.Where())
	if p.Blind[at] {
		return ledger.Look{}, nil
	}
	p.looks++
	if p.OnLook != nil {
		if err := p.OnLook(p.looks, at); err != nil {
			return ledger.Look{}, err
		}
	}
	doc, ok := p.State[at]
	seen := ledger.Look{Known: true, Now: ledger.Image{JSON: json.RawMessage(doc)}, Patience: p.Patience}
	seen.Scope = ledger.Scope{Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: e.Unordered}
	if !ok {
		seen.Now, seen.Proven = ledger.Absent, !p.Unproven[at]
	}
	return seen, nil
}

// Held implements [ledger.Counter]; without HeldFunc it cannot tell.
func (p *Third) Held(context.Context) (n int, known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.HeldFunc == nil {
		return 0, false, nil
	}
	return p.HeldFunc()
}

// Preview implements [ledger.Remediator].
func (p *Third) Preview(e *ledger.Entry, _ ledger.Look) (ledger.Request, error) {
	return ledger.Request{Method: "PUT", URL: Path(e.Where()), Body: e.Before.JSON, Repeatable: !p.Post}, nil
}

// Undo implements [ledger.Remediator].
func (p *Third) Undo(_ context.Context, e *ledger.Entry, _ ledger.Look) (ledger.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undos++
	at := Path(e.Where())
	var lost error
	if p.OnAnswer != nil {
		if a, ok := p.OnAnswer(p.undos, at); ok {
			return a, nil
		}
	}
	if p.OnUndo != nil {
		after, err := p.OnUndo(p.undos, at)
		if err != nil && !after {
			return ledger.Answer{}, err
		}
		lost = err
	}
	p.effects = append(p.effects, at)
	alias := p.write(at, e.Before)
	if lost != nil {
		return ledger.Answer{}, lost
	}
	return ledger.Answer{Class: ledger.AnswerAccepted, Status: 200, Alias: alias, Residue: p.Residue}, nil
}

// write puts an image at a path, or removes what is there. It returns the new name of what came back, if it got one.
func (p *Third) write(at string, image ledger.Image) (alias json.RawMessage) {
	if image.IsAbsent() {
		delete(p.State, at)
		return nil
	}
	if p.Rename {
		delete(p.State, at)
		p.names++
		at = fmt.Sprintf("%s.%d", strings.TrimRight(at, ".0123456789"), p.names)
		alias = json.RawMessage(fmt.Sprintf(`{"path":%q}`, at))
	}
	p.State[at] = string(image.JSON)
	return alias
}

// Renamed implements [ledger.Renamer].
func (p *Third) Renamed(d *ledger.Draft) json.RawMessage {
	if now := Path(d.After.JSON); p.Rename && now != "" && now != Path(d.Resource) {
		return json.RawMessage(fmt.Sprintf(`{"path":%q}`, now))
	}
	return nil
}

// Set puts a document at a path.
func (p *Third) Set(at, doc string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.State[at] = doc
}

// Drop removes the document at a path.
func (p *Third) Drop(at string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.State, at)
}

// Get returns the document at a path; empty: there is none.
func (p *Third) Get(at string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.State[at]
}

// Order returns the paths of the undos that had effect, in their order.
func (p *Third) Order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.effects)
}

// Find implements [ledger.Systems]: every name but "unknown" is this third party.
func (p *Third) Find(name string) (ledger.System, ledger.Remediator, error) {
	if name == "unknown" || p.Gone.Load() { // not under the lock: hooks, which hold it, may call a ledger
		return ledger.System{}, nil, ledger.NotFound("system", name)
	}
	return ledger.System{Name: name, Attempts: 4, Backoff: ledger.Backoff{Base: time.Millisecond, Cap: 4 * time.Millisecond}, Guard: p.Guard}, p, nil
}

// List implements [ledger.Systems]: the systems that were ever parked.
func (p *Third) List() []ledger.SystemStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ledger.SystemStatus
	for name, parked := range p.parked {
		out = append(out, ledger.SystemStatus{System: ledger.System{Name: name}, Parked: parked})
	}
	return out
}

// Park implements [ledger.Systems].
func (p *Third) Park(name string, parked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parked[name] = parked
}

// Swap puts a document at a path and returns the one that was there.
func (p *Third) Swap(at, doc string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.State[at]
	p.State[at] = doc
	return old
}

// Calls returns how many looks and undos were asked for.
func (p *Third) Calls() (looks, undos int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looks, p.undos
}

// Delete takes the document at a path away.
func (p *Third) Delete(at string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.State, at)
}
