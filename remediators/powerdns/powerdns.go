package powerdns

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind of one RRset: all records of a name and a type.
const Kind = "powerdns.rrset"

// serverPath is the one server that PowerDNS's API has.
const serverPath = "/api/v1/servers/localhost"

// A Remediator serves the records of one PowerDNS, by its API and, where there is an updater, by updates.
type Remediator struct {
	client  *remediators.Client
	updater *remediators.Updater // nil: undos go by HTTP, which has no conditional write
}

// Factory makes the remediator of a system with remediator: powerdns. Its url is what stands before /api/v1.
// It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "where PowerDNS answers, without /api/v1"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client, updater: b.Update}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{Kind} }

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, r.Kinds()...); err != nil {
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
	g := ledger.Grading{CanLook: true, ResourceKey: n.key(), Reversible: ledger.ReversibleExact, Warnings: r.warnings(n, before, after)}
	if d.Action == ledger.ActionDelete && before != nil && before.lacks() != "" {
		g.Reversible = ledger.ReversibleNone
		g.Warnings = append(g.Warnings, "nothing takes this back: the before-image lacks "+before.lacks())
	}
	if err := r.client.Permits(remediators.Call{Method: http.MethodPatch, Path: n.zonePath()}); err != nil {
		why := "its undo will be refused: PATCH " + n.zonePath() + " is not in the system's allow list"
		g.Denied = []ledger.Denial{{Field: "/resource/zone", Msg: why}}
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// warnings are what an operator should know of an entry when it is recorded.
func (r *Remediator) warnings(n name, before, after *rrset) (list []string) {
	if why := r.unguarded(n, before, after); why != "" {
		list = append(list, "unguarded: "+why+", so a change by somebody else between the look and the undo is overwritten")
	}
	if after != nil && after.TTL != nil && *after.TTL > 0 {
		list = append(list, fmt.Sprintf("resolvers go on answering with what the upgrade wrote for up to %d s after its undo", *after.TTL))
	}
	if why := r.client.Warning(); why != "" {
		list = append(list, why)
	}
	return list
}

// Preview implements [ledger.Remediator]. A guarded undo is shown as what nsupdate takes.
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	if s.update != nil {
		return ledger.Request{Summary: "update at " + r.updater.Address() + " (nsupdate): " + strings.Join(script(s.update), "; "), Repeatable: true}, nil
	}
	return ledger.Request{
		Method: s.call.Method, URL: r.client.URL(s.call), Header: s.call.Header, Body: json.RawMessage(s.call.Body),
		Credential: r.client.Slot(), Repeatable: true,
	}, nil
}
