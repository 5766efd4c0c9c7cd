package route53

import (
	"fmt"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind of one record set.
const Kind = "route53.rrset"

// A Remediator serves the record sets of the hosted zones of one account.
type Remediator struct {
	client *remediators.Client
	every  time.Duration // between two questions whether a change is at all name servers
}

// Factory makes the remediator of a system with remediator: route53. It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "https://route53.amazonaws.com"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client, every: 3 * time.Second}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{Kind} }

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, Kind); err != nil {
		return ledger.Grading{}, err
	}
	n, err := parseName(d.Resource)
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
	g := ledger.Grading{CanLook: true, ResourceKey: n.resource(), Reversible: ledger.ReversibleExact}
	if d.Action == ledger.ActionDelete && before != nil && before.lacks() != "" {
		g.Reversible = ledger.ReversibleNone
		g.Warnings = append(g.Warnings, "nothing takes this back: the before-image lacks "+before.lacks())
	}
	if after != nil && after.TTL != nil && *after.TTL > 0 {
		g.Warnings = append(g.Warnings, fmt.Sprintf("resolvers go on answering with what the upgrade wrote for up to %d s after its undo", *after.TTL))
	}
	if why := r.client.Warning(); why != "" {
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// Preview implements [ledger.Remediator]. The body is XML, shown as a string.
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	call, err := r.ready(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	return ledger.Request{
		Method: call.Method, URL: r.client.URL(call), Header: call.Header, Body: encode(string(call.Body)),
		Credential: r.client.Slot(), Repeatable: true,
	}, nil
}
