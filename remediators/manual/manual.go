// Package manual is the remediator for what only a person can undo: kinds manual and manual.*, and
// whatever else is recorded in a system with remediator: manual. Nothing is ever sent; the entry's undo
// says what to do, who does it and what shows that it was done.
package manual

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Remediator serves one system. It has no state.
type Remediator struct{}

// Factory makes the remediator of a system with remediator: manual. It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	switch {
	case b.Config.URL != "":
		return nil, remediators.Fieldf("url", "nothing is called: leave it out")
	case b.Config.Profile != "":
		return nil, remediators.Fieldf("profile", "belongs to remediator: http")
	case len(b.Config.Commands) > 0:
		return nil, remediators.Fieldf("commands", "belong to remediator: command")
	}
	return Remediator{}, nil
}

// A step is what an entry's undo says.
type step struct {
	Instructions string `json:"instructions"` // what to do, for a person
	Owner        string `json:"owner"`        // who does it
	Evidence     string `json:"evidence"`     // what shows that it was done
}

// maxText is the longest text of a step, in bytes.
const maxText = 16 << 10

// parse reads a step strictly; nothing is an empty step.
func parse(raw json.RawMessage) (step, error) {
	var s step
	if len(raw) == 0 || string(raw) == "null" {
		return s, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return s, ledger.Invalid("/undo", "has to be an object with instructions, owner and evidence")
	}
	targets := map[string]*string{"instructions": &s.Instructions, "owner": &s.Owner, "evidence": &s.Evidence}
	for name, v := range members {
		target, known := targets[name]
		field := "/undo/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if !known {
			return s, ledger.Invalid(field, "is not known here; known are evidence, instructions, owner")
		}
		if err := json.Unmarshal(v, target); err != nil {
			return s, ledger.Invalid(field, "has to be a string")
		}
		if len(*target) > maxText {
			return s, ledger.Invalid(field, "is longer than 16 KiB")
		}
	}
	return s, nil
}

// String is the step as one paragraph for a person. Without instructions it says so.
func (s step) String() string {
	var b bytes.Buffer
	if s.Instructions == "" {
		b.WriteString("undo it by hand; no instructions were recorded")
	}
	b.WriteString(strings.TrimSpace(s.Instructions))
	if s.Owner != "" {
		b.WriteString(" (owner: " + s.Owner + ")")
	}
	if s.Evidence != "" {
		b.WriteString(" (evidence: " + s.Evidence + ")")
	}
	return b.String()
}

// Kinds implements [ledger.Remediator].
func (Remediator) Kinds() []string { return []string{"manual", "manual.*"} }

// Check implements [ledger.Remediator].
func (Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if d.Kind != "manual" && !strings.HasPrefix(d.Kind, "manual.") {
		return ledger.Grading{}, ledger.Invalid("/kind", "is not served by this system; it serves manual and manual.*")
	}
	for field, raw := range map[string]json.RawMessage{"/read": d.Read, "/guard": d.Guard, "/async": d.Async, "/verify": d.Verify} {
		if len(raw) > 0 && string(raw) != "null" {
			return ledger.Grading{}, ledger.Invalid(field, "has no meaning for a step that a person takes; leave it out")
		}
	}
	s, err := parse(d.Undo)
	if err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{Reversible: ledger.ReversibleManual, Warnings: []string{"a person has to undo it"}}
	if s.Instructions == "" {
		g.Warnings = append(g.Warnings, "undo.instructions is empty: nobody will know what to do")
	}
	return g, nil
}

// Look implements [ledger.Remediator]: nobody can look.
func (Remediator) Look(context.Context, *ledger.Entry) (ledger.Look, error) {
	return ledger.Look{}, nil
}

// Preview implements [ledger.Remediator].
func (Remediator) Preview(e *ledger.Entry, _ ledger.Look) (ledger.Request, error) {
	s, err := parse(e.Undo)
	if err != nil {
		return ledger.Request{}, &ledger.CallError{Class: ledger.CallDenied, Detail: "its undo cannot be read", Err: err}
	}
	return ledger.Request{Summary: s.String()}, nil
}

// Undo implements [ledger.Remediator]: it says what a person has to do.
func (r Remediator) Undo(_ context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	req, err := r.Preview(e, seen)
	return ledger.Answer{Class: ledger.AnswerManual, Detail: req.Summary}, err
}
