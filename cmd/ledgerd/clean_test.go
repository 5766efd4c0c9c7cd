package main

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"sideledger/ledger/journal"
	"sideledger/ledger/ledgertest"
)

// cleans is how many states of clean ledgers are verified.
const cleans = 1000 // 100 with the race detector, and on PostgreSQL

// A thousand clean ledgers, in as many states, raise no alarm, and neither do their exports.
func TestCleanLedgersRaiseNoAlarm(t *testing.T) {
	beside(t)
	n, ledgers := cleans, 100
	if raceDetector || ledgertest.OnPostgres(t) {
		n, ledgers = 100, 4
	}
	for l := range ledgers {
		h := newHouse(t, l%2 == 0)
		h.serve()
		rnd := rand.New(rand.NewPCG(uint64(l), 9))
		var dirs []string
		if h.mirror != "" {
			dirs = []string{h.mirror}
		}
		for i := range n / ledgers {
			h.busy(rnd, 2)
			if i%3 == 0 {
				if _, _, err := h.parts.vigil.Signed(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			bad, err := h.parts.verify(t.Context(), &env{stderr: io.Discard}, verifyWith{dirs: dirs})
			if err != nil || len(bad) > 0 {
				t.Fatalf("ledger %d, state %d: %v, %v", l, i, bad, err)
			}
		}
		for _, w := range h.windows() {
			report, err := journal.Verify(strings.NewReader(h.read("/v1/windows/" + w.ID + "/journal")))
			if err != nil || !report.OK {
				t.Fatalf("the export of a clean window: %+v, %v", report, err)
			}
		}
		h.stop()
	}
}
