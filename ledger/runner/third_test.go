package runner_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"sideledger/ledger"
)

// third is a third party in memory, with its remediator: a resource {"path": P} holds one document; an
// undo writes the before-image back. It counts what it changed, and can misbehave.
type third struct {
	mu      sync.Mutex
	state   map[string]string // path → document; not there: absent
	effects []string          // paths, in the order of changes that had effect
	undos   int               // calls of Undo
	looks   int
	// onUndo, onLook: run before the call; an error is returned in its place. after: the effect happens
	// all the same.
	onUndo func(n int, path string) (err error, after bool)
	onLook func(n int, path string) error
	blind  map[string]bool // paths that cannot be read
	post   bool            // undos are not repeatable
	parked map[string]bool
	grade  ledger.Reversibility
}

func newThird() *third {
	return &third{state: map[string]string{}, blind: map[string]bool{}, parked: map[string]bool{}}
}

func path(resource json.RawMessage) string {
	var r struct{ Path string }
	_ = json.Unmarshal(resource, &r)
	return r.Path
}

func (p *third) Kinds() []string { return []string{""} }

func (p *third) Check(*ledger.Draft) (ledger.Grading, error) {
	grade := p.grade
	if grade == "" {
		grade = ledger.ReversibleExact
	}
	return ledger.Grading{Reversible: grade, CanLook: true}, nil
}

func (p *third) Look(_ context.Context, e *ledger.Entry) (ledger.Look, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := path(e.Resource)
	if p.blind[at] {
		return ledger.Look{}, nil
	}
	p.looks++
	if p.onLook != nil {
		if err := p.onLook(p.looks, at); err != nil {
			return ledger.Look{}, err
		}
	}
	doc, ok := p.state[at]
	if !ok {
		return ledger.Look{Known: true, Now: ledger.Absent, Proven: true}, nil
	}
	return ledger.Look{Known: true, Now: ledger.Image{JSON: json.RawMessage(doc)}}, nil
}

func (p *third) Preview(e *ledger.Entry, _ ledger.Look) (ledger.Request, error) {
	return ledger.Request{Method: "PUT", URL: path(e.Resource), Body: e.Before.JSON, Repeatable: !p.post}, nil
}

func (p *third) Undo(_ context.Context, e *ledger.Entry, _ ledger.Look) (ledger.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undos++
	at := path(e.Resource)
	var lost error
	if p.onUndo != nil {
		err, after := p.onUndo(p.undos, at)
		if err != nil && !after {
			return ledger.Answer{}, err
		}
		lost = err
	}
	p.effects = append(p.effects, at)
	if e.Before.IsAbsent() {
		delete(p.state, at)
	} else {
		p.state[at] = string(e.Before.JSON)
	}
	if lost != nil {
		return ledger.Answer{}, lost
	}
	return ledger.Answer{Class: ledger.AnswerAccepted, Status: 200}, nil
}

func (p *third) set(at, doc string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state[at] = doc
}

func (p *third) get(at string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state[at]
}

func (p *third) order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.effects)
}

// Find, List and Park make it a [ledger.Systems] in which every name is this third party.
func (p *third) Find(name string) (ledger.System, ledger.Remediator, error) {
	if name == "unknown" {
		return ledger.System{}, nil, ledger.NotFound("system", name)
	}
	return ledger.System{Name: name, Attempts: 4, Backoff: ledger.Backoff{Base: time.Millisecond, Cap: 4 * time.Millisecond}}, p, nil
}

func (p *third) List() []ledger.SystemStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ledger.SystemStatus
	for name, parked := range p.parked {
		out = append(out, ledger.SystemStatus{System: ledger.System{Name: name}, Parked: parked})
	}
	return out
}

func (p *third) Park(name string, parked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parked[name] = parked
}
