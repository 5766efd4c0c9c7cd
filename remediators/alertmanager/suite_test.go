package alertmanager

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// dialect is Alertmanager's API over the suite's third party. A silence stands at /r/N, has N in its id, and
// its comment begins with its path. What it cannot show is what the real one does with ids: see the other tests.
type dialect struct{}

func idAt(path string) string {
	var n int
	_, _ = fmt.Sscanf(path, "/r/%d", &n)
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
}

// Path implements [remediatortest.Dialect].
func (dialect) Path(method, path string, body []byte) string {
	var s silence
	if id, ok := strings.CutPrefix(path, silencePath); ok {
		s.ID = id
	} else if method == "GET" || json.Unmarshal(body, &s) != nil {
		return "/"
	}
	if s.ID != "" {
		var n int
		_, _ = fmt.Sscanf(s.ID[24:], "%d", &n)
		return fmt.Sprintf("/r/%d", n)
	}
	at, _, _ := strings.Cut(*s.Comment, " ")
	return at
}

func shown(path, doc string) string {
	return strings.Replace(doc, "{", `{"id":"`+idAt(path)+`","status":{"state":"active"},`, 1)
}

// Read implements [remediatortest.Dialect].
func (d dialect) Read(path string, docs map[string]string) (status int, body string) {
	at := d.Path("GET", path, nil)
	switch {
	case at == "/":
		var list []string
		for _, p := range slices.Sorted(maps.Keys(docs)) {
			list = append(list, shown(p, docs[p]))
		}
		return 200, "[" + strings.Join(list, ",") + "]"
	case docs[at] == "":
		return 404, ""
	default:
		return 200, shown(at, docs[at])
	}
}

// Change implements [remediatortest.Dialect].
func (d dialect) Change(method, path, doc string, body []byte) (next string, status int, answer string) {
	if method == "DELETE" {
		if doc == "" {
			return "", 500, `"silence not found"`
		}
		return "", 200, ""
	}
	s, err := parse(body)
	if err != nil {
		return doc, 400, `"bad"`
	}
	delete(s.members, "id")
	return string(object(s.members)), 200, `{"silenceID":"` + idAt(d.Path(method, path, body)) + `"}`
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{
		Dialect: dialect{},
		DocFunc: func(path, value string) string {
			return `{"comment":"` + path + ` ` + value + `","createdBy":"x","endsAt":"2999-01-01T00:00:00.000Z",` +
				`"matchers":[{"isEqual":true,"isRegex":false,"name":"a","value":"` + path + `"}],"startsAt":"2020-01-01T00:00:00.000Z"}`
		},
		BindFunc: func(t *testing.T, th *remediatortest.Third) ledger.Remediator {
			with := setup.At(th.URL)
			with.Config.Credential = "env:TOKEN"
			return with.Bind(t)
		},
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			for _, i := range []*string{&before, &after} {
				if *i == "" {
					*i = "null"
				}
			}
			return &ledger.Entry{State: ledger.EntryApplied, Draft: draft(action, idAt(path), before, after)}
		},
	})
}
