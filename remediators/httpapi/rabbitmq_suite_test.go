package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// policies is RabbitMQ's API of policies over the suite's third party. The document at /r/N is the policy N of vhost v.
type policies struct{}

const policiesPath = "/api/policies/v"

// A policy has the members that a PUT takes; one that is left out becomes the default.
type policy struct {
	Pattern    string          `json:"pattern"`
	Definition json.RawMessage `json:"definition"`
	Priority   int             `json:"priority"`
	ApplyTo    string          `json:"apply-to"`
}

// Path implements [remediatortest.Dialect].
func (policies) Path(_, path string, _ []byte) string {
	if name, ok := strings.CutPrefix(path, policiesPath+"/"); ok {
		return "/r/" + name
	}
	return "/"
}

// Read implements [remediatortest.Dialect].
func (d policies) Read(path string, docs map[string]string) (status int, body string) {
	switch at := d.Path("GET", path, nil); {
	case at == "/":
		return 200, "[]"
	case docs[at] == "":
		return 404, `{"error":"Object Not Found","reason":"Not Found"}`
	default:
		return 200, strings.Replace(docs[at], "{", `{"vhost":"v","name":"`+strings.TrimPrefix(at, "/r/")+`",`, 1)
	}
}

// Change implements [remediatortest.Dialect].
func (policies) Change(method, _, doc string, body []byte) (next string, status int, answer string) {
	switch {
	case method == "DELETE" && doc == "":
		return "", 404, `{"error":"Object Not Found","reason":"Not Found"}`
	case method == "DELETE":
		return "", 204, ""
	}
	var p policy
	if json.Unmarshal(body, &p) != nil || p.Pattern == "" || len(p.Definition) == 0 {
		return doc, 400, `{"error":"bad_request"}`
	}
	raw, _ := json.Marshal(p)
	return string(raw), 204, ""
}

func TestSuiteRabbitMQ(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: policies{},
		DocFunc: func(_, value string) string {
			return `{"pattern":"` + value + `","definition":{"max-length":1},"priority":3,"apply-to":"queues"}`
		},
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator {
			return bind(t, remediators.SystemConfig{URL: th.URL, Credential: "env:TOKEN", Profile: "rabbitmq"})
		},
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			return &ledger.Entry{State: ledger.EntryApplied, Draft: ledger.Draft{
				System: "sys", Kind: "rabbitmq.policy", Action: action, State: ledger.EntryApplied, Before: image(before), After: image(after),
				Resource: json.RawMessage(fmt.Sprintf(`{"vhost":"v","name":%q}`, strings.TrimPrefix(path, "/r/"))),
			}}
		},
	})
}
