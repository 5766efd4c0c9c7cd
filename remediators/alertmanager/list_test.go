package alertmanager

import (
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// What nobody recorded at a real Alertmanager: the silences that are there and not expired.
func TestUnrecorded(t *testing.T) {
	remediatortest.Proves(t, Kind, "listed")
	b := start(t)
	text := doc("", t.Name()+" recorded", "shop", time.Hour)
	recorded := b.post(text)
	foreign := b.post(doc("", t.Name()+" foreign", "shop", time.Hour))
	over := b.post(doc("", t.Name()+" over", "shop", time.Hour))
	b.expire(over)
	b.Record(draft(ledger.ActionCreate, recorded, "null", text))
	found, err := b.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: b.ID})
	if err != nil {
		t.Fatal(err)
	}
	signs := map[string]ledger.ForeignSign{}
	for _, f := range found.Items {
		signs[string(f.Resource)] = f.Sign
	}
	if signs[string(named(foreign))] != ledger.ForeignChanged || signs[string(named(recorded))] != "" || signs[string(named(over))] != "" {
		t.Errorf("%+v", found)
	}
}
