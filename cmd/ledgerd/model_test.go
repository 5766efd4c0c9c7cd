package main

import (
	"net/http"
	"slices"
	"time"
)

// A model says what the ledger has to answer and to show, by the contract and the rules of docs/states.md. It is
// written beside the product and calls nothing of it: states are the words that the API shows, a resource is a
// path at a third party, an image is the value that stands there.
type model struct {
	windows []*modelWindow
	shows   map[string]string // what each resource shows
	away    map[string]bool   // third parties that do not answer
	alive   bool              // a runner is at work
	dies    string            // it dies at its next undo, "before" or "after" that had its effect; empty: it does not
}

type modelWindow struct {
	id      string
	state   string
	resume  string // what a window that is stuck goes back to; empty: it is fenced
	entries []*modelEntry
	run     *modelRun // the running or the last one; nil: none yet
}

type modelEntry struct {
	id, system, at         string
	seq                    int
	before, after          string
	intent                 bool // it was posted as intended
	within                 time.Duration
	by                     time.Time // perform_by
	dependsOn              []int
	state, reason, outcome string
	retain, late           bool
	reported               bool // somebody said that the effect is there
	doubted                bool // judged by looking
	torn                   bool // the runner died in the middle of its attempt
	sent                   bool // an undo was sent
	copied                 bool // the ledger made it: an effect that turned up again
	word                   *modelWord
	shown                  string    // by the third party when it got stuck; empty: nothing was
	run                    *modelRun // the last that had it in its hands
}

// A modelWord is a person's decision that a run has to act on.
type modelWord struct {
	kind, seen string
}

func (e *modelEntry) closed() bool {
	return e.state == "undone" || e.state == "void" || e.state == "waived" || e.retain
}

// counts reports whether what stood before e may be its resource's baseline.
func (e *modelEntry) counts() bool { return e.state != "void" && e.state != "waived" && !e.retain }

func (w *modelWindow) fenced() bool {
	return w.state == "rolling_back" || w.state == "rolled_back" || w.state == "stuck" && w.resume == ""
}

func (w *modelWindow) takesIntents() bool {
	return w.state == "open" || w.state == "stuck" && w.resume == "open"
}

func (w *modelWindow) has(states ...string) bool {
	return slices.ContainsFunc(w.entries, func(e *modelEntry) bool { return !e.retain && slices.Contains(states, e.state) })
}

func (w *modelWindow) allClosed(in func(*modelEntry) bool) bool {
	return !slices.ContainsFunc(w.entries, func(e *modelEntry) bool { return in(e) && !e.closed() })
}

// turn is an operator's seal, reopen or keep.
func (w *modelWindow) turn(call string) int {
	to := map[string]string{"seal": "sealed", "keep": "kept", "reopen": "open"}[call]
	if call == "reopen" && w.state == "kept" {
		to = "sealed"
	}
	switch {
	case w.state == to:
		return http.StatusOK
	case w.state != "open" && w.state != "sealed" && w.state != "kept":
		return http.StatusConflict
	case call == "seal" && w.state == "kept": // reopen alone gives a kept window back
		return http.StatusConflict
	case to == "kept" && w.run != nil && !w.run.over():
		return http.StatusConflict
	}
	w.state = to
	return http.StatusOK
}

// record takes in entries, all or none.
func (w *modelWindow) record(list []*modelEntry, now time.Time) int {
	for _, e := range list {
		if e.intent && !w.takesIntents() {
			return http.StatusConflict
		}
	}
	for _, e := range list {
		e.seq = len(w.entries) + 1
		w.entries = append(w.entries, e)
		e.state = "intended"
		if e.intent {
			e.by = now.Add(e.within)
		} else {
			w.becomeApplied(e)
		}
	}
	return http.StatusCreated
}

// becomeApplied takes in a fact; one that comes after the end waits for a person.
func (w *modelWindow) becomeApplied(e *modelEntry) {
	e.state, e.reported, e.late = "applied", true, w.fenced()
	if !e.late || w.state == "rolling_back" || e.retain {
		return
	}
	e.state, e.reason = "stuck", "late"
	w.state = "stuck"
}

// applied is a report on an entry. It is never refused.
func (w *modelWindow) applied(e *modelEntry) int {
	switch e.state {
	case "intended", "void":
		w.becomeApplied(e)
	case "stuck":
		if e.reported {
			break
		}
		e.reported, e.late = true, w.fenced()
		switch {
		case w.state == "rolling_back" && !e.sent: // the word that was missing
			e.word = &modelWord{kind: "retry"}
		case w.state == "rolling_back":
		case e.late:
			e.reason = "late"
		}
	}
	return http.StatusOK
}

func (w *modelWindow) void(e *modelEntry) int {
	if e.state != "intended" {
		return http.StatusConflict
	}
	e.state = "void"
	return http.StatusOK
}

func (w *modelWindow) renew(e *modelEntry, now time.Time) int {
	if e.state != "intended" || w.fenced() {
		return http.StatusConflict
	}
	e.by = now.Add(e.within)
	return http.StatusOK
}

// tally counts the entries of a window, or of a run, by what became of them.
func (w *modelWindow) tally(in func(*modelEntry) bool) map[string]int {
	n := map[string]int{}
	for _, e := range w.entries {
		if !in(e) {
			continue
		}
		switch {
		case e.state == "undone":
			n[e.outcome]++
		case e.state == "void", e.state == "waived":
			n[e.state]++
		case e.retain:
			n["retained"]++
		case e.state == "stuck":
			n["stuck"]++
		default:
			n["remaining"]++
		}
	}
	return n
}

func everyEntry(*modelEntry) bool { return true }
