package ledger

import (
	"encoding/json"
	"errors"
	"time"
)

// Sent is what is known of one undo after it was sent (or was not): the answer or the error of the
// call, and what the third party shows since.
type Sent struct {
	Answer     Answer
	Err        error // a [CallError], or anything: state unknown
	Repeatable bool  // sending it twice does no more than sending it once
	Seen       Look  // the look after; zero when it failed
	LookErr    error // why that look failed; nil when it did not
	Attempts   int   // how many answers may be burnt (System.Attempts)
}

// A Settlement says how one attempt ends and what becomes of its entry. Exactly one of Outcome, Reason
// and Again holds.
type Settlement struct {
	Outcome Outcome // the entry is undone
	Reason  Reason  // the entry is stuck
	Again   bool    // it is looked at again, no earlier than After from now
	After   time.Duration
	Open    bool   // the look afterwards failed: the attempt stays open until one succeeds
	Burnt   bool   // the attempt counts
	Park    bool   // the system refused our credential
	Result  string // of the attempt
	Status  int
	Detail  string
	Digest  string          // of what the third party shows now
	Alias   json.RawMessage // the name under which the undo brought the resource back; empty: its own
}

// Result names what became of the call, as the attempt keeps it.
func (s Sent) Result() string { return describe(s).Result }

// Settle decides what one attempt brought. It is pure. Nothing is guessed: an undo that was sent and
// not answered is settled by the look alone, and sent again only if it is repeatable.
func Settle(e *Entry, s Sent) Settlement {
	out := describe(s)
	if out.Reason != "" || out.Again {
		return out
	}
	if s.LookErr != nil {
		return settleLookFailed(out, s)
	}
	if !s.Seen.Known {
		return settleBlind(e, out, s)
	}
	return settleSeen(e, out, s)
}

// settleSeen: the look afterwards succeeded, and what it shows decides.
func settleSeen(e *Entry, out Settlement, s Sent) Settlement {
	c := Compare(e.Before, e.After, s.Seen.Now, s.Seen.Scope)
	out.Digest = c.Digest
	if len(s.Seen.Alias) > 0 {
		out.Alias = s.Seen.Alias
	}
	switch {
	case c.Blind:
		return settleBlind(e, out, s)
	case c.Before && s.Seen.Now.IsAbsent() && !s.Seen.Proven && !e.sawPresent():
		return out.stuck(ReasonBlocked, "not found afterwards, without proof that its parent is visible to this credential")
	case c.Before:
		return out.undone(s)
	case c.After, s.Seen.Between:
		return settleUnchanged(e, out, s)
	default:
		return settleNeither(e, out, s, c)
	}
}

// settleNeither: the third party shows neither image after the undo.
func settleNeither(e *Entry, out Settlement, s Sent, c Comparison) Settlement {
	switch {
	case !e.Before.Known() && out.Result == string(AnswerAccepted):
		out.Outcome, out.Detail = OutcomeUnverified, "accepted; the before-image was never recorded, so it cannot be compared"
		return out
	case out.Result == string(AnswerRefused):
		return out.stuck(ReasonFailed, out.Detail)
	case out.Result == string(AnswerConflict):
		return out.stuck(ReasonDrifted, "changed by somebody else between the look and the undo")
	case e.ordered():
		return settleOrdered(e, out, s)
	case e.overrides(c.Digest) && out.Result != string(AnswerAccepted):
		return settleUnchanged(e, out, s)
	default:
		return out.stuck(ReasonDrifted, "after the undo "+e.showsNeither())
	}
}

// describe turns the answer or error of the call into the beginning of a settlement. What needs no look
// afterwards is settled here.
func describe(s Sent) Settlement {
	var call *CallError
	if errors.As(s.Err, &call) {
		return describeError(call)
	}
	if s.Err != nil {
		return Settlement{Result: string(CallAmbiguous), Detail: "the call broke off; nobody knows whether it arrived"}
	}
	out := Settlement{Result: string(s.Answer.Class), Status: s.Answer.Status, Detail: s.Answer.Detail + residue(s.Answer.Residue, nil), Burnt: true, Alias: s.Answer.Alias}
	switch s.Answer.Class {
	case AnswerManual:
		out.Burnt = false
		return out.stuck(ReasonManual, s.Answer.Detail)
	case AnswerRetry:
		out.After = s.Answer.RetryAfter
	case AnswerAccepted, AnswerGone, AnswerConflict, AnswerFailed, AnswerRefused:
	default:
		out.Result = string(CallAmbiguous)
	}
	return out
}

func describeError(call *CallError) Settlement {
	out := Settlement{Result: string(call.Class), Status: call.Status, Detail: call.Detail}
	switch call.Class {
	case CallNotSent:
		out.Again = true
	case CallAway:
		out.Again, out.After = true, call.RetryAfter
	case CallDenied:
		return out.stuck(ReasonBlocked, call.Detail)
	case CallAuth:
		out.Park = true
		return out.stuck(ReasonBlocked, "the third party refused our credential")
	case CallAnswered:
		out.Result, out.Burnt, out.After = string(AnswerFailed), true, call.RetryAfter
	case CallAmbiguous:
	default:
		out.Result = string(CallAmbiguous)
	}
	return out
}

func (o Settlement) stuck(r Reason, detail string) Settlement {
	o.Reason, o.Again, o.Outcome = r, false, ""
	if detail != "" {
		o.Detail = detail
	}
	return o
}

func (o Settlement) undone(s Sent) Settlement {
	switch {
	case o.Result == string(AnswerConflict) || o.Result == string(AnswerGone) || o.Result == string(AnswerRefused):
		o.Outcome, o.Detail = OutcomeAlreadyUndone, "somebody else had undone it"
	case residue(s.Answer.Residue, o.Alias) != "":
		o.Outcome, o.Detail = OutcomeCompensated, residue(s.Answer.Residue, o.Alias)
	default:
		o.Outcome = OutcomeUndone
	}
	return o
}

// settleUnchanged: the third party still shows the after-image.
func settleUnchanged(e *Entry, out Settlement, s Sent) Settlement {
	ambiguous := out.Result == string(CallAmbiguous)
	burnt := e.burnt()
	if out.Burnt {
		burnt++
	}
	switch {
	case out.Result == string(AnswerRefused):
		return out.stuck(ReasonFailed, out.Detail)
	case ambiguous && !s.Repeatable:
		return out.stuck(ReasonInDoubt, DetailUnanswered)
	case out.Result == string(AnswerAccepted) && !s.Repeatable:
		return out.stuck(ReasonFailed, "accepted, and nothing changed")
	case burnt >= s.Attempts || e.sentInRun() >= maxUnanswered*s.Attempts:
		return out.stuck(ReasonFailed, "gave up after the attempts that the system allows; last: "+out.Result)
	}
	out.Again = true
	return out
}

// maxUnanswered bounds, as a multiple of the system's attempts, how often an undo is sent again that never
// gets an answer although the third party answers looks.
const maxUnanswered = 4

// settleBlind: there is no way to look; only an answer that says success counts.
func settleBlind(e *Entry, out Settlement, s Sent) Settlement {
	switch out.Result {
	case string(AnswerAccepted):
		out.Outcome, out.Detail = OutcomeUnverified, "accepted; it cannot be read back"
		return out
	case string(AnswerRetry):
		if e.burnt()+1 >= s.Attempts {
			return out.stuck(ReasonFailed, "gave up after the attempts that the system allows; last: "+out.Result)
		}
		out.Again = true
		return out
	case string(AnswerRefused), string(AnswerConflict):
		return out.stuck(ReasonFailed, out.Detail)
	default:
		return out.stuck(ReasonInDoubt, "the answer does not say whether it happened, and there is no way to look")
	}
}

// settleLookFailed: what the undo brought is not known yet; the next round looks before anything else.
func settleLookFailed(out Settlement, s Sent) Settlement {
	var call *CallError
	if errors.As(s.LookErr, &call) {
		look := describeError(call)
		if look.Reason != "" {
			look.Result = out.Result
			look.Open = out.Result == string(CallAmbiguous) // a later run settles it by looking, never by sending
			look.Detail = "undo sent; the look afterwards failed: " + look.Detail
			return look
		}
		out.After = max(out.After, look.After)
	}
	out.Again, out.Open = true, true
	return out
}
