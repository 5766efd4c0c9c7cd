package alertmanager

import (
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// A real Alertmanager is rehearsed; a silence of somebody else stays.
func TestRehearsal(t *testing.T) {
	remediatortest.Proves(t, Kind, "rehearsed")
	b := start(t)
	b.post(doc("", "theirs", "shop", time.Hour))
	s := setup.At(b.proxy.URL)
	s.Config.Effects = []string{"POST /api/v2/silences"}
	r := s.Open(t).Rehearse(ledger.RehearsalRequest{System: "alerts"})
	if !r.Proven() || len(r.Canaries) != 1 {
		t.Errorf("%+v", r)
	}
	b.wantActive("theirs", "shop")
}
