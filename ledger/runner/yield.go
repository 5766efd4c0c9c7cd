package runner

import (
	"time"

	"sideledger/ledger"
)

// yieldNap is how soon a run that waits for another window's looks again.
const yieldNap = time.Second

// giveWay leaves alone an entry whose resource another window has changed since: it waits while that window's own
// rollback is about to settle that, else a person decides.
func (w *walk) giveWay(e *ledger.Entry, o *ledger.Overlap) {
	if !o.Wait {
		w.close(e, nil, blocked(o.Detail()), ledger.Image{})
		return
	}
	w.wait(ledger.Waiting{Why: whyOther, On: o.WindowID.String()})
	w.holds.Add(e)
}
