package main

import (
	"sideledger/api/wire"
)

// waits says in words what a run waits for.
func waits(w *wire.Waiting) string {
	text := w.Why
	switch w.Why {
	case "perform_by":
		text = "nobody has reported on an intent yet"
	case whySecondWord:
		text = "an operator's second word is needed"
	case "answer":
		text = "a system has not answered yet"
	case "other_window":
		text = "the rollback of another window goes first"
	case "system_away":
		text = "a system is away"
	case "retry":
		text = "a retry is due later"
	}
	if w.On != "" {
		text += " (" + w.On + ")"
	}
	if w.Until != nil {
		text += ", until " + w.Until.UTC().Format("15:04:05Z")
	}
	return text
}

// whySecondWord is the one wait that ends by a person's word alone.
const whySecondWord = "second_word"

// wayOn returns what a person may type about what the window's run waits for; "": it can only be waited for.
func wayOn(window string, w *wire.Waiting) string {
	window, on := clean(window), clean(w.On)
	switch w.Why {
	case "perform_by":
		return "rollback applied " + on + ", or rollback void " + on + ", once somebody knows"
	case whySecondWord:
		return confirmCommand(window, on)
	case "other_window":
		return "rollback status --window " + on
	default:
		return ""
	}
}

func confirmCommand(window, system string) string {
	return "rollback confirm --window " + window + " --system " + system + " --reason TEXT"
}

// next returns what a person may type about a run that does nothing right now. What each second word is about is said elsewhere.
func next(rb *wire.Rollback) string {
	switch {
	case rb.State == "paused":
		return "rollback resume --window " + clean(rb.WindowID) + ", or rollback cancel --window " + clean(rb.WindowID)
	case rb.Waiting != nil && rb.Waiting.Why != whySecondWord:
		return wayOn(rb.WindowID, rb.Waiting)
	default:
		return ""
	}
}

// given reports whether a run waits for a second word that was given since: it goes on at once.
func given(rb *wire.Rollback) bool {
	if rb.Waiting == nil || rb.Waiting.Why != whySecondWord || len(rb.SecondWords) == 0 {
		return false
	}
	for _, w := range rb.SecondWords {
		if w.GivenAt == nil {
			return false
		}
	}
	return true
}
