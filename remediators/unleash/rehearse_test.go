package unleash

import (
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// effects are the calls of scripts that the tests' system takes.
var effects = []string{"POST /api/admin/*", "PUT /api/admin/*", "PATCH /api/admin/*", "DELETE /api/admin/*"}

// A real Unleash is rehearsed: a feature flag, its switch and an addon are made, changed and taken back, and nothing is
// left, not in the archive either.
func TestRehearsal(t *testing.T) {
	for _, kind := range []string{KindAddon, KindFlag, KindToggle} {
		remediatortest.Proves(t, kind, "rehearsed")
	}
	b := start(t)
	s := setup.At(b.proxy.URL)
	s.Config.Effects = effects
	w := s.Open(t)
	r := w.Rehearse(ledger.RehearsalRequest{System: "flags", Place: []byte(`{"project":"default","environment":"development"}`)})
	if !r.Proven() || len(r.Canaries) != 3 || len(r.Left) != 0 {
		t.Fatalf("%+v", r)
	}
	told, err := w.Ledger.Rehearsal(t.Context(), r.WindowID)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range told.Canaries {
		if c.Kind != r.Canaries[i].Kind || c.Remains != nil || string(c.Resource) != string(r.Canaries[i].Resource) {
			t.Errorf("told later: %+v, then: %+v", c, r.Canaries[i])
		}
	}
	for _, path := range []string{"/search/features", "/search/features?archived=IS:true", "/addons"} {
		if got := b.Must("GET", path, ""); strings.Contains(got, "sideledger-rehearsal") {
			t.Errorf("%s shows what is left: %s", path, got)
		}
	}
	if r := w.Rehearse(ledger.RehearsalRequest{System: "flags"}); len(r.Canaries) != 1 || len(r.Left) != 2 {
		t.Errorf("without a place: %+v", r)
	}
}

// A token that may not delete is told before the window.
func TestRehearsalRefused(t *testing.T) {
	b := start(t)
	s := setup.At(b.proxy.URL)
	s.Config.Effects, s.Config.Allow = effects[:3], effects[:3]
	s.Config.Allow = append(s.Config.Allow, "GET /api/admin/*")
	r := s.Open(t).Rehearse(ledger.RehearsalRequest{System: "flags", Kinds: []string{KindToggle}, Place: []byte(`{"project":"default","environment":"development"}`)})
	if len(r.Canaries) != 0 || len(r.Left) != 1 || !strings.Contains(r.Left[0].Why, "allow list") || len(b.proxy.Changes()) != 0 {
		t.Errorf("%+v", r)
	}
}

// A real Unleash says what it makes of a token.
func TestCredential(t *testing.T) {
	for _, kind := range []string{KindAddon, KindFlag, KindToggle} {
		remediatortest.Proves(t, kind, "credential")
	}
	b := start(t)
	for secret, want := range map[string]ledger.CredentialState{token: ledger.CredentialAccepted, "*:*.nobody's": ledger.CredentialRefused} {
		rem := with(secret).At(b.url).Bind(t)
		if c := rem.(ledger.CredentialChecker).CheckCredential(t.Context()); c.State != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
}
