package route53

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A page is what Route 53 answers to a list.
type page struct {
	XMLName        xml.Name
	Sets           []set  `xml:"ResourceRecordSets>ResourceRecordSet"`
	Truncated      bool   `xml:"IsTruncated"`
	NextName       string `xml:"NextRecordName"`
	NextType       string `xml:"NextRecordType"`
	NextIdentifier string `xml:"NextRecordIdentifier"`
}

// Look implements [ledger.Remediator]. A list of the zone that does not have the set where it would stand is the proof that it
// is gone. Route 53 shows a change at once, also before all its name servers have it. The validator holds the set as it was
// shown, since a delete compares every value.
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	n, err := parseName(e.Where())
	if err != nil {
		return ledger.Look{}, remediators.Denied("its resource cannot be read")
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: slices.Concat(e.Unordered, []string{"/ResourceRecords"}),
	}}
	p, err := r.page(ctx, n.path(), n.query())
	if err != nil || p == nil {
		return out, err
	}
	i := slices.IndexFunc(p.Sets, func(s set) bool { return n.is(&s) })
	if i < 0 {
		out.Proven = true
		return out, nil
	}
	shown := &p.Sets[i]
	if shown.strange() {
		return ledger.Look{}, remediators.Denied("the record set has a part that this remediator does not know, and would lose")
	}
	out.Now, out.Validator = shown.image(), string(encode(shown))
	return out, nil
}

// page reads a page of a list; nil where the zone is not there, or not for us.
func (r *Remediator) page(ctx context.Context, path, query string) (*page, error) {
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: path, Query: query})
	if err != nil {
		return nil, err
	}
	if reply.Status == http.StatusNotFound {
		return nil, nil //nolint:nilnil // the zone is not there
	}
	var p page
	if err := decode(reply, "ListResourceRecordSetsResponse", &p.XMLName, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// decode reads the document of an answer that has to be 200, whose root has a name.
func decode(reply remediators.Reply, root string, named *xml.Name, into any) error {
	switch {
	case reply.Status != http.StatusOK:
		return remediators.UnusableAWS(reply)
	case reply.BodyErr != nil:
		return remediators.Unusable(reply, reply.BodyErr.Error())
	case xml.Unmarshal(reply.Body, into) != nil || named.Local != root:
		return remediators.Unusable(reply, "the answer is no "+root)
	}
	return nil
}
