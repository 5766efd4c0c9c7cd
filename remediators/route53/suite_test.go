package route53

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// keyID names the key, and stands in every signature: what the suite looks for in each call.
const keyID = remediatortest.Secret + "-id"

// setup is a Route 53 as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{
	System: "dns", Factory: hurried, Secret: keyID + ":" + remediatortest.Secret, Config: remediators.SystemConfig{
		Remediator: "route53", Credential: "env:AWS_KEY", Auth: remediators.AuthConfig{Scheme: "sigv4", Region: "us-east-1", Service: "route53"},
	},
}

// hurried is Factory, with short pauses between two questions about a change.
func hurried(b remediators.Binding) (ledger.Remediator, error) {
	rem, err := Factory(b)
	if r, ok := rem.(*Remediator); ok {
		r.every = time.Millisecond
	}
	return rem, err
}

// dialect is Route 53 over the suite's third party: the document at /r/N is the TXT record app.rN.test. of the zone ZN.
type dialect struct{}

func nameAt(path string) name {
	n := strings.TrimPrefix(path, "/r/")
	return name{Zone: "Z" + n, Owner: "app.r" + n + ".test.", Type: "TXT"}
}

// Path implements [remediatortest.Dialect].
func (dialect) Path(_, path string, _ []byte) string {
	zone, ok := strings.CutPrefix(path, "/2013-04-01/hostedzone/Z")
	if !ok {
		return "/"
	}
	return "/r/" + strings.TrimSuffix(strings.TrimSuffix(zone, "/"), "/rrset")
}

// Read implements [remediatortest.Dialect].
func (d dialect) Read(path string, docs map[string]string) (status int, body string) {
	at := d.Path("GET", path, nil)
	if at == "/" {
		return 200, `<GetChangeResponse><ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status></ChangeInfo></GetChangeResponse>`
	}
	var p page
	p.XMLName.Local = "ListResourceRecordSetsResponse"
	if docs[at] != "" {
		s, err := parseImage("", ledger.Image{JSON: json.RawMessage(docs[at])})
		if err != nil {
			return 500, ""
		}
		s.Name, s.Type = strings.ToUpper(nameAt(at).Owner), "TXT"
		p.Sets = []set{*s}
	}
	raw, _ := xml.Marshal(p)
	return 200, string(raw)
}

const (
	pending = `<ChangeResourceRecordSetsResponse xmlns="` + namespace + `"><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status></ChangeInfo></ChangeResourceRecordSetsResponse>`
	invalid = `<InvalidChangeBatch xmlns="` + namespace + `"><Messages><Message>Tried to delete resource record set, but</Message></Messages><RequestId>1</RequestId></InvalidChangeBatch>`
)

// Change implements [remediatortest.Dialect].
func (dialect) Change(_, _, doc string, body []byte) (next string, status int, answer string) {
	var b batch
	if xml.Unmarshal(body, &b) != nil {
		return doc, 400, `<ErrorResponse><Error><Code>InvalidInput</Code></Error></ErrorResponse>`
	}
	next = doc
	for _, c := range b.Changes {
		said := string(c.Set.image().JSON)
		if c.Action == "DELETE" && next != said || c.Action == "CREATE" && next != "" {
			return doc, 400, invalid
		}
		if next = said; c.Action == "DELETE" {
			next = ""
		}
	}
	return next, 200, pending
}

func document(_, value string) string {
	return `{"TTL":60,"ResourceRecords":[{"Value":"\"` + value + `\""}]}`
}

// draft is an applied effect on a record set; "" is absence.
func draft(action ledger.Action, n name, before, after string) ledger.Draft {
	state := func(doc string) ledger.Image {
		if doc == "" {
			return ledger.Absent
		}
		return ledger.Image{JSON: json.RawMessage(doc)}
	}
	return ledger.Draft{System: "dns", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: n.resource(), Before: state(before), After: state(after)}
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: dialect{}, DocFunc: document,
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator { return setup.At(th.URL).Bind(t) },
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			return &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, nameAt(path), before, after)}
		},
	})
}
