package unleash

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

func subject(s remediatortest.Subject) remediatortest.Subject {
	s.BindFunc = func(t *testing.T, th *remediatortest.Third) ledger.Remediator {
		return with(remediatortest.Secret).At(th.URL).Bind(t)
	}
	return s
}

// toggles is the API of toggles over the suite's third party: /r/N is feature fN.
type toggles struct{}

// Path implements [remediatortest.Dialect].
func (toggles) Path(_, path string, _ []byte) string {
	rest, ok := strings.CutPrefix(path, api+"/projects/default/features/f")
	if !ok {
		return "/"
	}
	n, _, _ := strings.Cut(rest, "/")
	return "/r/" + n
}

// Read implements [remediatortest.Dialect].
func (d toggles) Read(path string, docs map[string]string) (status int, body string) {
	at := d.Path("GET", path, nil)
	switch {
	case at == "/":
		return 200, `{"projects":[{"id":"default"}]}`
	case docs[at] == "":
		return 404, `{"name":"NotFoundError"}`
	default:
		return 200, `{"archived":false,"environments":[{"name":"e","strategies":[],` + docs[at][1:] + `]}`
	}
}

// Change implements [remediatortest.Dialect].
func (toggles) Change(_, path, doc string, _ []byte) (next string, status int, answer string) {
	if doc == "" {
		return "", 404, `{"name":"NotFoundError"}`
	}
	return fmt.Sprintf(`{"enabled":%t}`, strings.HasSuffix(path, "/on")), 200, ""
}

func TestSuiteToggle(t *testing.T) {
	remediatortest.Run(t, subject(remediatortest.Subject{
		Dialect: toggles{}, Actions: []ledger.Action{ledger.ActionUpdate},
		DocFunc: func(_, value string) string { return fmt.Sprintf(`{"enabled":%t}`, value == "new") },
		EntryFunc: func(_ ledger.Action, path, before, after string) *ledger.Entry {
			d := (&bench{feature: "f" + strings.TrimPrefix(path, "/r/")}).toggled(before, after)
			d.Resource = json.RawMessage(strings.Replace(string(d.Resource), "development", "e", 1))
			return &ledger.Entry{State: ledger.EntryApplied, Draft: d}
		},
	}))
}

// addons is the API of addons over the suite's third party: /r/N is number N+1, and its description begins with
// its path.
type addons struct{}

func numberAt(path string) (n int64) {
	_, _ = fmt.Sscanf(path, "/r/%d", &n)
	return n + 1
}

// Path implements [remediatortest.Dialect].
func (addons) Path(method, path string, body []byte) string {
	if rest, ok := strings.CutPrefix(path, api+"/addons/"); ok {
		var n int
		_, _ = fmt.Sscanf(rest, "%d", &n)
		return fmt.Sprintf("/r/%d", n-1)
	}
	var doc struct{ Description string }
	if method == "GET" || json.Unmarshal(body, &doc) != nil {
		return "/"
	}
	at, _, _ := strings.Cut(doc.Description, " ")
	return at
}

// Read implements [remediatortest.Dialect].
func (d addons) Read(path string, docs map[string]string) (status int, body string) {
	shown := func(p string) string {
		return strings.Replace(docs[p], "{", fmt.Sprintf(`{"id":%d,`, numberAt(p)), 1)
	}
	at := d.Path("GET", path, nil)
	switch {
	case at == "/":
		var list []string
		for _, p := range slices.Sorted(maps.Keys(docs)) {
			list = append(list, shown(p))
		}
		return 200, `{"addons":[` + strings.Join(list, ",") + `]}`
	case docs[at] == "":
		return 404, `{"name":"NotFoundError"}`
	default:
		return 200, shown(at)
	}
}

// Change implements [remediatortest.Dialect].
func (d addons) Change(method, path, doc string, body []byte) (next string, status int, answer string) {
	switch {
	case method == "POST":
		return string(body), 201, fmt.Sprintf(`{"id":%d}`, numberAt(d.Path(method, path, body)))
	case doc == "":
		return "", 404, `{"name":"NotFoundError"}`
	case method == "DELETE":
		return "", 200, ""
	default:
		return string(body), 200, string(body)
	}
}

func TestSuiteAddon(t *testing.T) {
	remediatortest.Run(t, subject(remediatortest.Subject{
		Dialect: addons{},
		DocFunc: func(path, value string) string {
			return `{"description":"` + path + ` ` + value + `","enabled":true,"environments":[],"events":["feature-created"],` +
				`"parameters":{"url":"http://x"},"projects":[],"provider":"webhook"}`
		},
		EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
			for _, i := range []*string{&before, &after} {
				if *i == "" {
					*i = "null"
				}
			}
			return &ledger.Entry{State: ledger.EntryApplied, Draft: onAddon(action, numberAt(path), before, after)}
		},
	}))
}
