package ssm

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// setup is a Parameter Store as the system of these tests; its address is still to be said.
var setup = windowtest.Setup{
	System: "config", Factory: Factory, Secret: keyID + ":" + remediatortest.Secret, Config: remediators.SystemConfig{
		Remediator: "ssm", Credential: "env:AWS_KEY", Auth: remediators.AuthConfig{Scheme: "sigv4", Region: "eu-central-1", Service: "ssm"},
	},
}

// keyID names the key, and stands in every signature: what the suite looks for in each call.
const keyID = remediatortest.Secret + "-id"

// dialect is Parameter Store over the suite's third party: the document at /r/N is the parameter /r/N, a String.
type dialect struct{}

// Asked implements [remediatortest.Addresser].
func (dialect) Asked(r *http.Request) string { return r.Header.Get("X-Amz-Target") }

// Reads implements [remediatortest.PostReader].
func (dialect) Reads(_, asked string) bool { return strings.HasPrefix(asked, "AmazonSSM.Get") }

// Path implements [remediatortest.Dialect].
func (dialect) Path(_, _ string, body []byte) string {
	var doc struct{ Name string }
	_ = json.Unmarshal(body, &doc)
	return "/" + strings.TrimPrefix(doc.Name, "/")
}

// Read implements [remediatortest.Dialect].
func (dialect) Read(path string, docs map[string]string) (status int, body string) {
	if docs[path] == "" {
		return 400, `{"__type":"ParameterNotFound"}`
	}
	i, err := parseImage("", ledger.Image{JSON: json.RawMessage(docs[path])})
	if err != nil {
		return 500, `{}`
	}
	raw, _ := json.Marshal(map[string]any{"Parameters": []any{map[string]any{
		"Name": path, "Type": i.Type, "Value": i.Value, "Version": 1, "LastModifiedDate": 1.7e9, "Tier": "Standard", "DataType": "text",
	}}})
	return 200, string(raw)
}

// Change implements [remediatortest.Dialect].
func (dialect) Change(_, asked, doc string, body []byte) (next string, status int, answer string) {
	var in struct {
		Type, Value string
		Overwrite   bool
	}
	switch {
	case json.Unmarshal(body, &in) != nil:
		return doc, 400, `{"__type":"SerializationException"}`
	case asked == "AmazonSSM.DeleteParameter" && doc == "":
		return doc, 400, `{"__type":"ParameterNotFound"}`
	case asked == "AmazonSSM.DeleteParameter":
		return "", 200, `{}`
	case doc != "" && !in.Overwrite:
		return doc, 400, `{"__type":"ParameterAlreadyExists"}`
	}
	return document("", in.Value), 200, `{"Version":2,"Tier":"Standard"}`
}

func document(_, value string) string { return `{"type":"String","value":"` + value + `"}` }

func image0(doc string) ledger.Image {
	if doc == "" {
		return ledger.Absent
	}
	return ledger.Image{JSON: json.RawMessage(doc)}
}

// draft is an applied effect on a parameter; "" is absence.
func draft(action ledger.Action, name, before, after string) ledger.Draft {
	return ledger.Draft{
		System: "config", Kind: Kind, Action: action, State: ledger.EntryApplied, Resource: named(name), Before: image0(before), After: image0(after),
	}
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: dialect{}, DocFunc: document,
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator { return setup.At(th.URL).Bind(t) },
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			return &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, path, before, after)}
		},
	})
}
