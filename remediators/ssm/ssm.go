package ssm

import (
	"encoding/json"
	"regexp"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind of one parameter.
const Kind = "ssm.parameter"

// A Remediator serves the parameters of one account in one region.
type Remediator struct {
	client  *remediators.Client
	clock   ledger.Clock
	secrets map[string]string // references, by name: for a SecureString that was deleted
	getenv  func(string) string
}

// Factory makes the remediator of a system with remediator: ssm. It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "https://ssm.REGION.amazonaws.com"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client, clock: b.Clock, secrets: b.Config.Secrets, getenv: b.Getenv}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{Kind} }

// A target is what an entry's resource names.
type target struct {
	Name   string `json:"name"`
	Secret string `json:"secret,omitempty"` // which of the system's secrets it held, for a SecureString that was deleted
}

// parameterName is what a name may be, as far as it is known without asking. An ARN (a parameter of another account) cannot
// be written, and a name with ':' would mean a version.
var parameterName = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

func parseTarget(raw json.RawMessage) (target, error) {
	var out target
	if strict(raw, &out) != nil || !parameterName.MatchString(out.Name) {
		return target{}, ledger.Invalid("/resource", "has to be an object with name, the parameter's own and no ARN, and with secret where a SecureString comes back from the system's secrets")
	}
	return out, nil
}

func named(name string) json.RawMessage {
	raw, _ := json.Marshal(map[string]string{"name": name}) // a string always encodes
	return raw
}

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, Kind); err != nil {
		return ledger.Grading{}, err
	}
	at, err := parseTarget(d.Resource)
	if err != nil {
		return ledger.Grading{}, err
	}
	before, err := parseImage("/before", d.Before)
	if err != nil {
		return ledger.Grading{}, err
	}
	after, err := parseImage("/after", d.After)
	if err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{CanLook: true, ResourceKey: named(at.Name), Reversible: ledger.ReversibleEquivalent}
	g.Reversible, g.Warnings = r.grade(d.Action, at, before, after)
	if why := r.client.Warning(); why != "" {
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// grade says how completely it comes back. An update is the same to those who read the parameter, under a new version.
func (r *Remediator) grade(a ledger.Action, at target, before, after *image) (ledger.Reversibility, []string) {
	const unguarded = "unguarded: there is no conditional write, so a change by somebody else between the look and the undo is overwritten"
	switch {
	case a == ledger.ActionCreate:
		return ledger.ReversibleExact, []string{unguarded}
	case a == ledger.ActionUpdate:
		if before != nil && after != nil && before.Type != after.Type {
			return ledger.ReversibleNone, []string{"nothing takes this back: Parameter Store changes no parameter's type"}
		}
		return ledger.ReversibleEquivalent, []string{unguarded}
	case before != nil && before.Type == secureString && r.secrets[at.Secret] == "":
		return ledger.ReversibleNone, []string{
			"nothing takes this back: a delete takes all versions of the value with it, and `secret` of the resource names none of the system's secrets",
		}
	default:
		return ledger.ReversibleEquivalent, []string{"the parameter comes back as version 1, without its history, labels and tags"}
	}
}

// Preview implements [ledger.Remediator]. What a SecureString held is named, not shown.
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	call := s.call()
	return ledger.Request{
		Method: call.Method, URL: r.client.URL(call), Header: call.Header, Body: json.RawMessage(call.Body),
		Credential: r.client.Slot(), Repeatable: true,
	}, nil
}
