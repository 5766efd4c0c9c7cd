package powerdns

import (
	"encoding/json"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/windowtest"
)

// through is a window whose system takes the calls of scripts.
func (b *bench) through() *windowtest.Window {
	b.t.Helper()
	s := setup.At(b.proxy.URL)
	s.Secret, s.Config.Effects = apiKey, []string{"PATCH " + serverPath + "/zones/*"}
	if b.wire != nil {
		s.Config.DNSUpdate = remediators.DNSUpdateConfig{Address: b.wire.address}
	}
	return s.Open(b.t)
}

// A zone of a real PowerDNS is rehearsed, by its API and by updates; nothing is left.
func TestRehearsal(t *testing.T) {
	remediatortest.Proves(t, Kind, "rehearsed")
	both(t, func(t *testing.T, guarded bool) {
		b := start(t, guarded)
		w := b.through()
		r := w.Rehearse(ledger.RehearsalRequest{System: "dns", Place: json.RawMessage(`{"zone":"` + b.zone + `"}`)})
		if !r.Proven() || len(r.Canaries) != 1 {
			t.Fatalf("%+v", r)
		}
		if got := b.Must("GET", "/zones/"+b.zone, ""); strings.Contains(got, "sideledger") {
			t.Errorf("left: %s", got)
		}
		if guarded && (b.wire.sent.Load() != 2 || len(b.proxy.Changes()) != 2) {
			t.Errorf("%d updates, %v", b.wire.sent.Load(), b.proxy.Changes())
		}
		placed := setup.At(b.proxy.URL)
		placed.Secret, placed.Config.Effects = apiKey, []string{"PATCH " + serverPath + "/zones/*"}
		placed.Config.Rehearse.Place = map[string]any{"zone": b.zone}
		again := placed.Open(t)
		if r := again.Rehearse(ledger.RehearsalRequest{System: "dns"}); !r.Proven() {
			t.Errorf("at the configured place: %+v", r)
		}
		if u, err := again.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: again.ID, System: "dns"}); err != nil || len(u.Items) != 2 {
			t.Errorf("at the configured place: %+v, %v", u, err)
		}
		if r := again.Rehearse(ledger.RehearsalRequest{System: "dns", Place: json.RawMessage(`{"zone":"nobody.test."}`)}); r.Proven() {
			t.Error("who asks for another place goes before the configuration")
		}
		if r := w.Rehearse(ledger.RehearsalRequest{System: "dns"}); len(r.Left) != 1 || !strings.Contains(r.Left[0].Why, "zone") {
			t.Errorf("without a place: %+v", r)
		}
	})
}

// A real PowerDNS says what it makes of a key.
func TestCredential(t *testing.T) {
	remediatortest.Proves(t, Kind, "credential")
	for secret, want := range map[string]ledger.CredentialState{apiKey: ledger.CredentialAccepted, "nobody's": ledger.CredentialRefused} {
		s := setup.At(server.URL(t))
		s.Secret = secret
		if c := s.Bind(t).(ledger.CredentialChecker).CheckCredential(t.Context()); c.State != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
}

// What a PATCH does is known: it makes a set, changes it or deletes it, and each is taken back.
func TestEffects(t *testing.T) {
	b := start(t, false)
	there, absent, doomed := b.name("there", "A"), b.name("absent", "A"), b.name("doomed", "TXT")
	b.put(there, set(60, "192.0.2.1"))
	b.put(doomed, set(60, `"x"`))
	w := b.through()
	for _, c := range []struct {
		name   name
		change string
		action ledger.Action
	}{
		{there, `"changetype":"REPLACE","ttl":300,"records":[{"content":"192.0.2.2","disabled":false}]`, ledger.ActionUpdate},
		{absent, `"changetype":"REPLACE","ttl":60,"records":[{"content":"192.0.2.3","disabled":false}]`, ledger.ActionCreate},
		{doomed, `"changetype":"DELETE"`, ledger.ActionDelete},
	} {
		out, err := w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "dns"}, b.call(`{"name":"`+c.name.owner+`","type":"`+c.name.kind+`",`+c.change+`}`))
		if err != nil || out.Outcome != ledger.EffectApplied || out.Entry.Action != c.action || !out.Entry.After.Known() {
			t.Fatalf("%s: %+v, %v", c.action, out, err)
		}
	}
	if run := w.Rollback(); !run.Complete || run.Counts.Undone != 3 {
		t.Errorf("counts %+v", run.Counts)
	}
	b.wantSet(there, set(60, "192.0.2.1"))
	b.wantSet(absent, "")
	b.wantSet(doomed, set(60, `"x"`))
}

// A call of several sets has no entry of its own, and is not made.
func TestEffectsOfSeveral(t *testing.T) {
	b := start(t, false)
	w := b.through()
	one := `{"name":"app.` + b.zone + `","type":"A","changetype":"DELETE"}`
	if _, err := w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "dns"}, b.call(one+","+one)); ledger.CodeOf(err) != ledger.CodeInvalid {
		t.Errorf("several: %v", err)
	}
	if n := b.changes(); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

func (b *bench) call(sets string) ledger.EffectCall {
	return ledger.EffectCall{
		Method: "PATCH", Path: serverPath + "/zones/" + b.zone, Header: map[string]string{"Content-Type": "application/json"},
		Body: []byte(`{"rrsets":[` + sets + `]}`),
	}
}

func TestZoneInPath(t *testing.T) {
	for _, zone := range []string{"example.org.", "0/25.2.0.192.in-addr.arpa.", "."} {
		if got := zoneInPath(name{zone: zone}.zonePath()); got != zone {
			t.Errorf("%s is read as %s", zone, got)
		}
	}
	for _, path := range []string{serverPath, serverPath + "/zones/", serverPath + "/zones/a./metadata", serverPath + "/zones/%2e"} {
		if got := zoneInPath(path); got != "" {
			t.Errorf("%s is read as %s", path, got)
		}
	}
}
