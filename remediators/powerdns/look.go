package powerdns

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Look implements [ledger.Remediator]. A zone that is visible proves that a set which is not in it is gone; of a zone
// that is not there either, the server has to be visible. The validator holds the set as PowerDNS writes it, since
// prerequisites compare letter by letter.
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	n, err := parseName(e.Where())
	if err != nil {
		return ledger.Look{}, remediators.Denied("its resource cannot be read")
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: slices.Concat(e.Volatile, []string{"/comments"}), Unordered: slices.Concat(e.Unordered, []string{"/records"}),
	}}
	shown, zone, err := r.read(ctx, n)
	switch {
	case err != nil:
		return ledger.Look{}, err
	case !zone:
		out.Proven, err = r.visible(ctx)
		return out, err
	}
	if err := r.addDisabled(ctx, n, shown); err != nil {
		return ledger.Look{}, err
	}
	switch {
	case len(shown.Records) == 0:
		out.Proven = true
		return out, nil
	case shown.TTL == nil:
		return ledger.Look{}, &ledger.CallError{Class: ledger.CallAnswered, Detail: "the answer has records without a ttl"}
	}
	literal, _ := json.Marshal(shown) // what was decoded from JSON encodes
	out.Now, out.Validator = ledger.Image{JSON: shown.canonical()}, string(literal)
	return out, nil
}

// read reads the records that are answered with; zone: the zone is there.
func (r *Remediator) read(ctx context.Context, n name) (s *rrset, zone bool, err error) {
	var doc struct {
		RRsets []rrset `json:"rrsets"`
	}
	reply, err := r.client.Do(ctx, get(n.zonePath(), n.filter()))
	switch {
	case err != nil:
		return nil, false, err
	case reply.Status == http.StatusNotFound:
		return nil, false, nil
	}
	if err := decode(reply, &doc); err != nil {
		return nil, false, err
	}
	if doc.RRsets == nil {
		return nil, false, remediators.Unusable(reply, "the answer is no zone")
	}
	for _, s := range doc.RRsets {
		if n.is(s.Name, s.Type) {
			return &s, true, nil
		}
	}
	return &rrset{Name: n.owner, Type: n.kind}, true, nil
}

// searchLimit is how many records a search may find before nobody knows whether it found all.
const searchLimit = 2000

// addDisabled adds the records that are disabled, which a filtered read leaves out: written back without them, they
// would be lost. Only a search shows them. It finds whatever has the name, as owner or as content.
func (r *Remediator) addDisabled(ctx context.Context, n name, s *rrset) error {
	var found []finding
	sought := strings.ReplaceAll(strings.TrimSuffix(n.owner, "."), "*", "?") // a wildcard of the search, which fits the star
	query := "object_type=record&max=" + strconv.Itoa(searchLimit) + "&q=" + url.QueryEscape(sought)
	reply, err := r.client.Do(ctx, get(serverPath+"/search-data", query))
	if err != nil {
		return err
	}
	if err := decode(reply, &found); err != nil {
		return err
	}
	if len(found) >= searchLimit {
		return remediators.Denied("more records than can be searched have this name: nobody knows whether some of its own are disabled")
	}
	for _, f := range found {
		if !f.isDisabledOf(n) {
			continue
		}
		if s.TTL == nil || len(s.Records) == 0 {
			s.TTL = &f.TTL
		}
		if !slices.ContainsFunc(s.Records, func(o record) bool { return o.Disabled && o.Content == f.Content }) {
			s.Records = append(s.Records, record{Content: f.Content, Disabled: true})
		}
	}
	return nil
}

// A finding is a record that a search found.
type finding struct {
	record
	Name   string `json:"name"`
	Type   string `json:"type"`
	Zone   string `json:"zone"`
	TTL    uint32 `json:"ttl"`
	Object string `json:"object_type"`
}

// isDisabledOf reports whether it is a record of this RRset that is disabled.
func (f finding) isDisabledOf(n name) bool {
	return f.Disabled && f.Object == "record" && dns.CanonicalName(f.Zone) == n.zone && n.is(f.Name, f.Type)
}

// visible reports whether the server itself is visible to the credential.
func (r *Remediator) visible(ctx context.Context) (bool, error) {
	reply, err := r.client.Do(ctx, get(serverPath, ""))
	switch {
	case err != nil:
		return false, err
	case reply.Status == http.StatusNotFound:
		return false, nil
	}
	var doc struct {
		ID string `json:"id"`
	}
	return true, decode(reply, &doc)
}

func get(path, query string) remediators.Call {
	return remediators.Call{Method: http.MethodGet, Path: path, Query: query}
}

// decode reads the document of an answer that has to be 200.
func decode(reply remediators.Reply, into any) error {
	if reply.Status != http.StatusOK {
		return remediators.Unusable(reply, "")
	}
	doc, why := remediators.Document(reply)
	if why != "" || json.Unmarshal(doc, into) != nil {
		return remediators.Unusable(reply, "the answer cannot be read")
	}
	return nil
}
