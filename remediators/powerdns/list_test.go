package powerdns

import (
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// What nobody recorded in a zone of a real PowerDNS, with what is disabled; another zone is not looked at.
func TestUnrecorded(t *testing.T) {
	remediatortest.Proves(t, Kind, "listed")
	b := start(t, false)
	recorded, foreign, disabled := b.name("recorded", "A"), b.name("foreign", "TXT"), b.name("disabled", "A")
	b.put(recorded, set(60, "192.0.2.1"))
	b.put(foreign, set(60, `"x"`))
	b.put(disabled, set(60, "[192.0.2.2]"))
	b.Record(draft(ledger.ActionCreate, recorded, "", set(60, "192.0.2.1")))
	found, err := b.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: b.ID})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range found.Items {
		got[string(f.Resource)] = true
	}
	for n, want := range map[name]bool{recorded: false, foreign: true, disabled: true, {b.zone, b.zone, "SOA"}: true, {b.zone, b.zone, "NS"}: true} {
		if got[string(n.key())] != want {
			t.Errorf("%s is shown: %t", n.key(), !want)
		}
	}
	if l := found.Lists; len(l) != 1 || l[0].Held != 5 || l[0].Part || string(l[0].Place) != `{"zone":"`+b.zone+`"}` {
		t.Errorf("%+v", l)
	}
	rem := setup.At(b.URL).Bind(t)
	if list, err := rem.(ledger.Lister).List(t.Context(), Kind, nil); err != nil || list.Why == "" {
		t.Errorf("without a zone: %+v, %v", list, err)
	}
}
