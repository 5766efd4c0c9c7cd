package vaultkv

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// setup is a Vault as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{System: "secrets", Factory: Factory, Config: remediators.SystemConfig{
	Remediator: "vaultkv", Credential: "env:VAULT_TOKEN", Auth: remediators.AuthConfig{Scheme: "header", Name: "X-Vault-Token"},
}}

// dialect is Vault over the suite's third party: the document at /r/N is the secret /r/N of the mount /secret, whose
// version 1 is the old one and 2 the new one. What is not there is a secret whose version 1 is deleted. An old value that
// is read is about no document: the suite's modes are for the calls that change something, and for looks.
type dialect struct{}

// Asked implements [remediatortest.Addresser].
func (dialect) Asked(r *http.Request) string { return r.URL.Path + "?" + r.URL.RawQuery }

// Path implements [remediatortest.Dialect].
func (dialect) Path(method, asked string, _ []byte) string {
	path, _, _ := strings.Cut(asked, "?")
	part, rest, _ := strings.Cut(strings.TrimPrefix(path, "/v1/secret/"), "/")
	if part == "metadata" || method == "POST" {
		return "/" + rest
	}
	return "/"
}

// Read implements [remediatortest.Dialect].
func (d dialect) Read(asked string, docs map[string]string) (status int, body string) {
	if _, version, ok := strings.Cut(asked, "?version="); ok {
		return 200, `{"data":{"data":{"v":` + version + `},"metadata":{"version":` + version + `}}}`
	}
	switch doc := docs[d.Path("GET", asked, nil)]; {
	case !strings.Contains(asked, "/metadata/"):
		return 200, `{"data":{}}`
	case doc == "":
		return 200, `{"data":{"current_version":1,"max_versions":9,"versions":{"1":{"created_time":"c1","deletion_time":"2001-01-01T00:00:00Z","destroyed":false}}}}`
	default:
		n := strings.TrimSuffix(strings.TrimPrefix(doc, `{"version":`), "}")
		return 200, `{"data":{"current_version":` + n + `,"max_versions":9,"versions":{"1":{"created_time":"c1","deletion_time":""},"2":{"created_time":"c2","deletion_time":""}}}}`
	}
}

// Change implements [remediatortest.Dialect].
func (dialect) Change(_, asked, doc string, body []byte) (next string, status int, answer string) {
	var in struct {
		Versions []int64
		Options  struct{ CAS int64 }
		Data     struct{ V int64 }
	}
	if json.Unmarshal(body, &in) != nil {
		return doc, 400, `{"errors":["no JSON"]}`
	}
	switch {
	case strings.HasPrefix(asked, "/v1/secret/undelete/"):
		return document(in.Versions[0]), 204, ""
	case strings.HasPrefix(asked, "/v1/secret/delete/"):
		return "", 204, ""
	case doc != document(in.Options.CAS):
		return doc, 400, `{"errors":["check-and-set parameter did not match the current version"]}`
	}
	return document(in.Data.V), 200, `{"data":{"version":3}}`
}

func document(version int64) string { return fmt.Sprintf(`{"version":%d}`, version) }

func at(path string) secret { return secret{"/secret", path} }

// draft is an applied effect on a secret; "" is absence.
func draft(action ledger.Action, path, before, after string) ledger.Draft {
	state := func(doc string) ledger.Image {
		if doc == "" {
			return ledger.Absent
		}
		return ledger.Image{JSON: json.RawMessage(doc)}
	}
	return ledger.Draft{
		System: "secrets", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: at(path).resource(), Before: state(before), After: state(after),
	}
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: dialect{},
		DocFunc: func(_, value string) string {
			if value == "new" {
				return document(2)
			}
			return document(1)
		},
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator { return setup.At(th.URL).Bind(t) },
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			return &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, path, before, after)}
		},
	})
}
