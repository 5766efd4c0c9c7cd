package httpapi

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// setupOf is a system of these tests.
func setupOf(c remediators.SystemConfig) windowtest.Setup {
	c.Remediator = "http"
	return windowtest.Setup{System: "sys", Factory: Factory, Config: c}
}

// bind makes the remediator of a system at url.
func bind(t *testing.T, c remediators.SystemConfig) ledger.Remediator {
	t.Helper()
	return setupOf(c).Bind(t)
}

// bindBare returns the remediator as a ledger has it, and without the registry's shelter.
func bindBare(t *testing.T, c remediators.SystemConfig) (rem ledger.Remediator, bare *Remediator) {
	t.Helper()
	s := setupOf(c)
	s.Factory = func(b remediators.Binding) (ledger.Remediator, error) {
		made, err := Factory(b)
		bare, _ = made.(*Remediator)
		return made, err
	}
	return s.Bind(t), bare
}

func bindThird(t *testing.T, th *remediatortest.Third) ledger.Remediator {
	return bind(t, remediators.SystemConfig{URL: th.URL, Credential: "env:TOKEN"})
}

func image(doc string) ledger.Image {
	if doc == "" {
		return ledger.Absent
	}
	return ledger.Image{JSON: json.RawMessage(doc)}
}

// entry is an applied http.request with the plain recipe for its path.
func entry(action ledger.Action, path, before, after string) *ledger.Entry {
	undo := `{"method":"PUT","path":"` + path + `","body":"{{before}}"}`
	if action == ledger.ActionCreate {
		undo = `{"method":"DELETE","path":"` + path + `"}`
	}
	return &ledger.Entry{
		State: ledger.EntryApplied,
		Draft: ledger.Draft{
			ID: ledger.NewID(), System: "sys", Kind: Kind, Action: action, State: ledger.EntryApplied,
			Resource: json.RawMessage(`{"path":"` + path + `"}`), Before: image(before), After: image(after),
			Undo: json.RawMessage(undo), Read: json.RawMessage(`{"path":"` + path + `","gone_proof":{"path":"/"}}`),
		},
	}
}

func TestSuite(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{BindFunc: bindThird, EntryFunc: entry})
}

func TestSuiteGuarded(t *testing.T) {
	remediatortest.Run(t, remediatortest.Subject{BindFunc: bindThird, EntryFunc: func(action ledger.Action, path, before, after string) *ledger.Entry {
		e := entry(action, path, before, after)
		e.Guard = json.RawMessage(`{"header":"If-Match","value":"{{validator}}"}`)
		return e
	}})
}

func diff(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
