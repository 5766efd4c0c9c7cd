package remediatortest

import "sideledger/ledger"

// testDrift has somebody else change the document: what is shown then is neither before nor after, so that a ledger
// leaves it alone.
func (s Subject) testDrift(t T) {
	theirs := s.doc("/r/1", "theirs")
	if theirs == s.doc("/r/1", "old") || theirs == s.doc("/r/1", "new") {
		return // there are but two states
	}
	th := s.third(t)
	rem := s.bind(t, th)
	e := s.update(th)
	s.shows(t, rem, e, s.doc("/r/1", "new"))
	th.Set("/r/1", theirs)
	seen := s.look(t, rem, e)
	if c := ledger.Compare(e.Before, e.After, seen.Now, seen.Scope); c.Before || c.After {
		t.Errorf("somebody else's change reads as %+v: %s", c, seen.Now.JSON)
	}
	th.Set("/r/1", "")
	if seen = s.look(t, rem, e); !seen.Now.IsAbsent() {
		t.Errorf("removed by somebody else, it shows %s", seen.Now.JSON)
	}
}
