package vaultkv

import (
	"encoding/json"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind of one secret.
const Kind = "vault.kv"

// A Remediator serves the secrets of one Vault.
type Remediator struct {
	client *remediators.Client
	clock  ledger.Clock
}

// Factory makes the remediator of a system with remediator: vaultkv. Its url is what stands before /v1.
// It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "where Vault answers, without /v1"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client, clock: b.Clock}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{Kind} }

// tokenPath is where a token asks about itself.
const tokenPath = "/v1/auth/token/lookup-self" //nolint:gosec // an address, no credential

// Whoami implements [remediators.Whoamist]. A token that never ends says null.
func (r *Remediator) Whoami() *remediators.WhoamiConfig {
	return &remediators.WhoamiConfig{Path: tokenPath, Expires: remediators.ExpiresConfig{Pointer: "/data/expire_time"}}
}

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, Kind); err != nil {
		return ledger.Grading{}, err
	}
	at, err := parseSecret(d.Resource)
	if err != nil {
		return ledger.Grading{}, err
	}
	if _, err := parseImage("/before", d.Before); err != nil {
		return ledger.Grading{}, err
	}
	if _, err := parseImage("/after", d.After); err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{CanLook: true, ResourceKey: at.resource(), Reversible: ledger.ReversibleEquivalent}
	if d.Action == ledger.ActionDelete {
		g.Warnings = append(g.Warnings, "a version that was destroyed, or of which the metadata were deleted, does not come back")
	}
	if d.Action == ledger.ActionCreate {
		g.Warnings = append(g.Warnings, "its undo deletes the version, which Vault keeps and can undelete; the metadata stay")
	}
	if why := r.client.Warning(); why != "" {
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// Preview implements [ledger.Remediator]. The value is named, not shown.
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	call := s.call(json.RawMessage(s.placeholder()))
	return ledger.Request{
		Method: call.Method, URL: r.client.URL(call), Header: call.Header, Body: json.RawMessage(call.Body),
		Credential: r.client.Slot(), Repeatable: true,
	}, nil
}

var _ remediators.Whoamist = (*Remediator)(nil)
