package powerdns

import (
	"encoding/json"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// dialect is PowerDNS's API over the suite's third party. The document at /r/N is the RRset app.rN.test., in a zone of
// its own; its records say the value.
type dialect struct{}

func zoneAt(path string) string { return strings.ReplaceAll(path[1:], "/", "") + ".test." }

// Path implements [remediatortest.Dialect].
func (dialect) Path(_, path string, _ []byte) string {
	id, ok := strings.CutPrefix(path, serverPath+"/zones/r")
	if !ok {
		return "/"
	}
	return "/r/" + strings.TrimSuffix(id, ".test.")
}

// Read implements [remediatortest.Dialect].
func (d dialect) Read(path string, docs map[string]string) (status int, body string) {
	switch at := d.Path("GET", path, nil); {
	case strings.HasSuffix(path, "/search-data"):
		return 200, "[]"
	case at == "/":
		return 200, `{"id":"localhost"}`
	case docs[at] == "":
		return 200, `{"rrsets":[]}`
	default:
		return 200, `{"rrsets":[` + strings.Replace(docs[at], "{", `{"name":"APP.`+zoneAt(at)+`","type":"TXT","comments":[],`, 1) + `]}`
	}
}

// Change implements [remediatortest.Dialect].
func (dialect) Change(_, _, doc string, body []byte) (next string, status int, answer string) {
	var change struct {
		RRsets []rrset `json:"rrsets"`
	}
	if json.Unmarshal(body, &change) != nil || len(change.RRsets) != 1 {
		return doc, 422, `{"error":"bad"}`
	}
	set := change.RRsets[0]
	if set.ChangeType == "DELETE" {
		return "", 204, ""
	}
	return string(set.canonical()), 204, ""
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: dialect{},
		DocFunc: func(_, value string) string {
			return `{"ttl":60,"records":[{"content":"\"` + value + `\"","disabled":false}]}`
		},
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator { return setup.At(th.URL).Bind(t) },
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			return &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, name{zoneAt(path), "app." + zoneAt(path), "TXT"}, before, after)}
		},
	})
}
