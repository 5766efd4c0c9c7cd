package etcd

import (
	"encoding/json"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind of one key.
const Kind = "etcd.key"

// A Remediator serves the keys of one etcd, by its API v3.
type Remediator struct{ client *remediators.Client }

// Factory makes the remediator of a system with remediator: etcd. Its url is what stands before /v3.
// It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "where etcd answers, without /v3"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{Kind} }

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, r.Kinds()...); err != nil {
		return ledger.Grading{}, err
	}
	key, err := parseKey(d.Resource)
	if err != nil {
		return ledger.Grading{}, err
	}
	before, err := parseImage("/before", d.Before)
	if err != nil {
		return ledger.Grading{}, err
	}
	if _, err := parseImage("/after", d.After); err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{CanLook: true, ResourceKey: named(key), Reversible: ledger.ReversibleExact}
	if d.Action == ledger.ActionDelete {
		g.Reversible = ledger.ReversibleEquivalent
		g.Warnings = append(g.Warnings, "the key comes back as a new one: its version and its create_revision begin again")
	}
	if before != nil && before.Lease != "" {
		g.Warnings = append(g.Warnings, "its lease comes back while the lease is there; a lease that has ended cannot be had again, and nothing takes this back then")
	}
	if why := r.client.Warning(); why != "" {
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// Preview implements [ledger.Remediator].
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	call, err := r.ready(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	return ledger.Request{
		Method: call.Method, URL: r.client.URL(call), Header: call.Header, Body: json.RawMessage(call.Body),
		Credential: r.client.Slot(), Repeatable: true,
	}, nil
}
