package ledger

import "time"

// A Verdict says what a rollback would do with an entry right now.
type Verdict string

// The verdicts of a plan.
const (
	VerdictUndo         Verdict = "undo"           // it shows the after-image: the undo would be sent
	VerdictAlreadyGone  Verdict = "already_undone" // it shows the before-image: nothing would be sent
	VerdictDrifted      Verdict = "drifted"
	VerdictRetained     Verdict = "retained"
	VerdictManual       Verdict = "manual"
	VerdictIrreversible Verdict = "irreversible"
	VerdictInDoubt      Verdict = "in_doubt" // an intent that nobody reported on, or no look can tell
	VerdictBlocked      Verdict = "blocked"
	VerdictWaived       Verdict = "waived"
	VerdictVoid         Verdict = "void" // the effect never happened
)

// ReasonOf returns why an entry with this verdict is stuck; "" for verdicts that leave nothing stuck.
func ReasonOf(v Verdict) Reason {
	switch v {
	case VerdictDrifted:
		return ReasonDrifted
	case VerdictManual:
		return ReasonManual
	case VerdictIrreversible:
		return ReasonIrreversible
	case VerdictInDoubt:
		return ReasonInDoubt
	case VerdictBlocked:
		return ReasonBlocked
	case VerdictUndo, VerdictAlreadyGone, VerdictRetained, VerdictWaived, VerdictVoid:
		return ""
	default:
		return ReasonFailed
	}
}

// A Judgement is a verdict with what a person needs to understand it.
type Judgement struct {
	Verdict Verdict
	Detail  string
	Digest  string // of what the third party shows, over what the entry owns
	// Wait is when an intent that nobody reported on may be judged; zero: it was judged.
	Wait time.Time
}

// JudgeState judges an entry by what the ledger alone knows. ok is false if the third party has to be
// looked at.
func JudgeState(e *Entry, now time.Time) (j Judgement, ok bool) {
	switch {
	case e.State == EntryUndone:
		return Judgement{Verdict: VerdictAlreadyGone, Detail: "closed: " + string(e.Outcome)}, true
	case e.State == EntryVoid:
		return Judgement{Verdict: VerdictVoid, Detail: "the effect never happened"}, true
	case e.State == EntryWaived:
		return Judgement{Verdict: VerdictWaived, Detail: "left in place by an operator's word"}, true
	case e.OnRollback == OnRollbackRetain:
		return Judgement{Verdict: VerdictRetained, Detail: "a protection: it stays"}, true
	case e.State == EntryIntended && now.Before(e.PerformBy):
		return Judgement{
			Verdict: VerdictInDoubt, Wait: e.PerformBy,
			Detail: "announced, not reported on; judged by looking after " + e.PerformBy.Format(time.RFC3339),
		}, true
	}
	return Judgement{}, false
}

// Judge judges an open entry by what its third party shows. It is pure: the same entry and the same
// look give the same judgement. The caller has asked JudgeState first.
func Judge(e *Entry, seen Look) Judgement {
	if !seen.Known {
		return judgeBlind(e)
	}
	c := Compare(e.Before, e.After, seen.Now, seen.Scope)
	j := Judgement{Digest: c.Digest}
	switch {
	case c.Blind && !e.overrides(c.Digest):
		j.Verdict, j.Detail = VerdictBlocked, detailBlind
	case c.Before:
		j.Verdict, j.Detail = judgeBefore(e, seen)
	case e.Reversible == ReversibleManual:
		j.Verdict, j.Detail = VerdictManual, "a step for a person"
	case e.lost(seen) != "":
		j.Verdict, j.Detail = VerdictIrreversible, e.lost(seen)
	case c.After:
		j.Verdict, j.Detail = judgeAfter(e, seen)
	case e.ordered():
		j.Verdict, j.Detail = VerdictUndo, "it is not the snapshot's state: it is restored, as the rollback was asked to"
	case e.overrides(c.Digest):
		j.Verdict, j.Detail = VerdictUndo, "drifted; an operator said to undo it all the same"
	default:
		j.Verdict, j.Detail = judgeNeither(e, seen)
	}
	return j
}

// judgeBlind judges an entry that no look can see.
func judgeBlind(e *Entry) Judgement {
	switch {
	case e.Reversible == ReversibleManual:
		return Judgement{Verdict: VerdictManual, Detail: "a step for a person"}
	case e.Reversible == ReversibleNone:
		return Judgement{Verdict: VerdictIrreversible, Detail: "nothing can take this back"}
	case e.State == EntryIntended:
		return Judgement{Verdict: VerdictInDoubt, Detail: "announced, not reported on, and there is no way to look"}
	case e.mayHaveArrived() && !e.DecidedSince():
		return Judgement{Verdict: VerdictInDoubt, Detail: "an undo may have been sent, and there is no way to look"}
	default:
		return Judgement{Verdict: VerdictUndo, Detail: "it cannot be read back"}
	}
}

func judgeBefore(e *Entry, seen Look) (Verdict, string) {
	if seen.Now.IsAbsent() && !seen.Proven && !e.sawPresent() {
		if e.AppliedAt.IsZero() {
			return VerdictInDoubt, "not found, without proof that its parent is visible to this credential"
		}
		return VerdictBlocked, "not found, without proof that its parent is visible to this credential: add read.gone_proof"
	}
	if e.State == EntryIntended {
		return VerdictVoid, "the third party shows the before-image: the effect never happened"
	}
	return VerdictAlreadyGone, "the third party shows the before-image"
}

func judgeAfter(e *Entry, seen Look) (Verdict, string) {
	if seen.Now.IsAbsent() && !seen.Proven && e.AppliedAt.IsZero() {
		return VerdictInDoubt, "not found, without proof that its parent is visible to this credential"
	}
	return VerdictUndo, "the third party shows the after-image"
}

func judgeNeither(e *Entry, seen Look) (Verdict, string) {
	switch {
	case seen.Between && len(e.Attempts) > 0:
		return VerdictUndo, "an undo of ours was broken off in the middle"
	case e.State == EntryIntended:
		return VerdictInDoubt, "announced, not reported on, and " + e.showsNeither()
	case !e.After.Known() && !seen.Now.IsAbsent():
		return VerdictInDoubt, "what the effect left behind was never recorded, so it cannot be told from another's change"
	case seen.Now.IsAbsent():
		return VerdictDrifted, "it is not there any more: somebody else removed it, or it is hidden from this credential"
	default:
		return VerdictDrifted, "the third party shows neither before nor after: somebody else changed it"
	}
}

// showsNeither says for a person that a resource shows none of the images that the entry has.
func (e *Entry) showsNeither() string {
	switch {
	case e.Before.Known() && e.After.Known():
		return "the third party shows neither before nor after"
	case e.Before.Known():
		return "the third party does not show the before-image; no after-image was recorded to know the effect by"
	case e.After.Known():
		return "the third party does not show the after-image; no before-image was recorded"
	default:
		return "no image was recorded to compare with"
	}
}

// overrides reports whether a person said to undo the state with this digest although it drifted.
func (e *Entry) overrides(digest string) bool {
	d := e.Decision
	return d != nil && d.Kind == DecideUndo && (d.Seen == "" || d.Seen == digest)
}

// Unsettled reports whether the last attempt is open: its undo may have been sent, and no look has told
// since what it brought.
func (e *Entry) Unsettled() bool {
	n := len(e.Attempts)
	return n > 0 && e.Attempts[n-1].Open()
}

// MayResend reports whether an undo may be sent for the entry, given that sending it twice does no more than
// sending it once (repeatable), or does not. What was sent and not answered may still arrive: only a person's
// word sends it a second time then.
func (e *Entry) MayResend(repeatable bool) bool {
	a := e.lastSent()
	unanswered := a != nil && (a.Open() || a.Result == string(CallAmbiguous))
	return repeatable || !unanswered || e.DecidedSince()
}

// DetailUnanswered says why an undo is not sent again.
const DetailUnanswered = "an undo was sent and not answered; it may still arrive, and sending it twice is not safe"

// lastSent returns the last attempt that may have reached the third party; nil: none did.
func (e *Entry) lastSent() *Attempt {
	for i := len(e.Attempts) - 1; i >= 0; i-- {
		if e.Attempts[i].mayHaveBeenSent() {
			return &e.Attempts[i]
		}
	}
	return nil
}

// mayHaveBeenSent reports whether the attempt's undo may have reached the third party and been looked at there.
func (a Attempt) mayHaveBeenSent() bool {
	switch a.Result {
	case string(CallNotSent), string(CallAway), string(CallDenied), string(CallAuth):
		return false
	default:
		return true
	}
}

// mayHaveArrived reports whether an undo was sent and its answer does not say that nothing was done.
func (e *Entry) mayHaveArrived() bool {
	a := e.lastSent()
	if a == nil {
		return false
	}
	switch a.Result {
	case string(AnswerRetry), string(AnswerRefused), string(AnswerConflict), string(AnswerManual):
		return false
	default:
		return true
	}
}

// DecidedSince reports whether a person decided on the entry after its last attempt.
func (e *Entry) DecidedSince() bool {
	return e.Decision != nil && e.Decision.Attempts >= len(e.Attempts)
}

// sawPresent reports whether the run that claimed the entry saw its resource, with the same credential,
// before it sent an undo of its own: then a 404 is the proof that the undo worked.
func (e *Entry) sawPresent() bool {
	for _, a := range e.Attempts {
		if a.RollbackID == e.RollbackID && a.Seen != "" && a.Seen != "absent" {
			return true
		}
	}
	return false
}

// burnt counts the answers that this run has used up on the entry, since a person last decided on it.
func (e *Entry) burnt() int { return e.countInRun(func(a Attempt) bool { return a.Burnt }) }

// sentInRun counts the undos that this run may have sent, likewise.
func (e *Entry) sentInRun() int { return e.countInRun(Attempt.mayHaveBeenSent) }

func (e *Entry) countInRun(has func(Attempt) bool) int {
	n := 0
	for i, a := range e.Attempts {
		if a.RollbackID == e.RollbackID && has(a) && (e.Decision == nil || i >= e.Decision.Attempts) {
			n++
		}
	}
	return n
}
