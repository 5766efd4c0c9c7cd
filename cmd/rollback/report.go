package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"sideledger/api/wire"
)

// showRollback shows a run and, once it is over, what is stuck in it and what somebody has to be told.
func (a *app) showRollback(r wire.RollbackReport) error {
	for _, list := range []*[]wire.Entry{&r.Stuck, &r.Compensated} {
		if *list == nil {
			*list = []wire.Entry{}
		}
	}
	return a.show(view{
		value: r,
		names: []string{r.ID},
		text: func(p *page) {
			p.rollback(&r.Rollback)
			p.compensated(r.Compensated)
			p.stuck(r.Stuck)
			p.held(r.Held)
			if r.Over() {
				p.advice(&r.Rollback, r.Stuck)
			}
		},
	})
}

// rollback writes a run in two lines, and what to type where it waits for a person.
func (p *page) rollback(rb *wire.Rollback) {
	word, tint := rb.State, tintChange
	switch {
	case rb.State == stateCancelled:
		tint = tintWarn
	case rb.Over() && rb.Left() == 0:
		word, tint = "finished, complete", tintGood
	case rb.Over():
		word, tint = "finished, not complete", tintWarn
	case given(rb):
		word = "the second word was given, it goes on"
	case rb.Waiting != nil:
		word = "waiting: " + waits(rb.Waiting)
	}
	partial := ""
	if rb.Partial {
		partial = " (a part of the window)"
	}
	p.printf("Rollback %s%s: %s\n", clean(rb.ID), partial, p.paint(tint, clean(word)))
	p.printf("  %s\n", countsText(rb.Counts))
	for _, w := range rb.SecondWords {
		if w.GivenAt == nil && !rb.Over() {
			p.printf("  %s %s: %s. If that is right:\n    %s\n",
				p.paint(tintWarn, "?"), clean(w.System), clean(w.Detail), confirmCommand(clean(rb.WindowID), clean(w.System)))
		}
	}
	if text := next(rb); text != "" {
		p.printf("  next: %s\n", text)
	}
}

// countsText says how many entries became what; zeros are left out.
func countsText(c wire.Counts) string {
	var parts []string
	for _, n := range []struct {
		n    int
		word string
	}{
		{c.Undone, "undone"},
		{c.AlreadyUndone, "already undone"},
		{c.Compensated, "compensated"},
		{c.Unverified, "unverified"},
		{c.ByHand, "by hand"},
		{c.Waived, "waived"},
		{c.Retained, "retained"},
		{c.Void, "void"},
		{c.Stuck, "stuck"},
		{c.Remaining, "remaining"},
	} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.n, n.word))
		}
	}
	if parts == nil {
		return "no entries"
	}
	return strings.Join(parts, " · ")
}

// compensated lists what came back with a new name or secret, with what somebody has to be told.
func (p *page) compensated(entries []wire.Entry) {
	for i := range entries {
		e := &entries[i]
		p.printf("\n%s entry %d  %s  %s  %s  %s\n", p.paint(tintGood, "+ compensated"), e.Seq, clean(e.System), clean(e.Kind),
			resourceOf(e), p.paint(tintDim, clean(e.ID)))
		if e.Detail != "" {
			p.printf("    %s\n", clean(e.Detail))
		}
	}
}

// resourceOf names an entry's resource, and the name that it has got since.
func resourceOf(e *wire.Entry) string {
	text := short(describe(e.Resource), 100)
	if e.Alias != nil {
		text += ", now " + short(describe(e.Alias.Resource), 100)
	}
	return text
}

// stuck lists stuck entries with what is known of each and what to type next.
func (p *page) stuck(entries []wire.Entry) {
	for i := range entries {
		e := &entries[i]
		symbol, tint := reasonSymbol(e.Reason)
		p.printf("\n%s entry %d  %s  %s  %s  %s\n", p.paint(tint, symbol+" "+clean(e.Reason)), e.Seq, clean(e.System), clean(e.Kind),
			resourceOf(e), p.paint(tintDim, clean(e.ID)))
		if e.Detail != "" {
			p.printf("    %s\n", clean(e.Detail))
		}
		if e.Source != "" || e.Note != "" {
			p.printf("    from %s\n", clean(strings.TrimSpace(e.Source+"  "+e.Note)))
		}
		p.image("before", e.Before)
		p.image("after", e.After)
		p.image("now", e.Now)
		if e.Decision != nil {
			p.printf("    decided: %s (%s)\n", clean(e.Decision.Decision), clean(e.Decision.Reason))
		}
		if e.Next != "" {
			p.printf("    next: %s\n", clean(e.Next))
		}
	}
}

// held lists what the run left alone, and what each has to wait for.
func (p *page) held(list []wire.Held) {
	for i, h := range list {
		if i == 0 {
			p.printf("\n")
		}
		why := "was not selected and stays open"
		if h.Selected {
			why = "is open itself"
		}
		p.printf("%s entry %d waits for entry %d, which %s  %s\n", p.paint(tintWarn, "- held"), h.Seq, h.By, why, p.paint(tintDim, clean(h.EntryID)))
	}
}

// image writes one image of an entry; an image that is not known is left out.
func (p *page) image(name string, raw json.RawMessage) {
	switch {
	case raw == nil:
	case string(raw) == "null":
		p.printf("    %s (not there)\n", pad(name, 6))
	default:
		p.printf("    %s %s\n", pad(name, 6), short(clean(string(raw)), 160))
	}
}

// reasonSymbol returns a symbol for why an entry is stuck; the word stands beside it, always.
func reasonSymbol(reason string) (string, tint) {
	switch reason {
	case "drifted", "in_doubt", "late":
		return "?", tintWarn
	case "manual", "irreversible":
		return "!", tintWarn
	default:
		return "x", tintBad
	}
}

// advice ends a report with the most important line.
func (p *page) advice(rb *wire.Rollback, stuck []wire.Entry) {
	switch statusOfRollback(rb, stuck) {
	case exitDone:
		text := "Done: nothing is left open."
		if rb.Partial {
			text = "Done: nothing that was selected is left open."
		}
		p.printf("\n%s\n", p.paint(tintGood, text))
	case exitPerson:
		p.printf("\n%s\n", p.paint(tintWarn, fmt.Sprintf("Not rolled back: %s a person.%s", counted(len(stuck), "entry needs", "entries need"), cameLate(stuck))))
	case exitFailed:
		if held := len(rb.Held); held > 0 && held == rb.Left() {
			p.printf("\n%s\n", p.paint(tintBad, fmt.Sprintf("Not rolled back: %s what is open.", counted(held, "entry waits for", "entries wait for"))))
			return
		}
		p.printf("\n%s\n", p.paint(tintBad, fmt.Sprintf("Not rolled back: %d stuck, %d remaining; some undo failed, is blocked, or was not begun.", len(stuck), rb.Counts.Remaining)))
	}
}

// counted says a number with the words for one or for any other number.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// cameLate names the facts that came after the rollback was over; "" if none did.
func cameLate(stuck []wire.Entry) string {
	var late []string
	for i := range stuck {
		if stuck[i].Reason == "late" {
			late = append(late, fmt.Sprintf("entry %d", stuck[i].Seq))
		}
	}
	if late == nil {
		return ""
	}
	return " After the rollback was over came: " + strings.Join(late, ", ") + "."
}

// window writes a window in two or three lines.
func (p *page) window(a *app, w *wire.Window) {
	tint := tintChange
	switch w.State {
	case "stuck":
		tint = tintWarn
	case "rolled_back", "kept":
		tint = tintGood
	}
	p.printf("Window %s  %s  %s\n", clean(w.ID), p.paint(tintBold, clean(w.Name)), p.paint(tint, clean(w.State)))
	p.printf("  opened %s", a.ago(w.CreatedAt))
	if w.SealedAt != nil {
		p.printf(", sealed %s", a.ago(*w.SealedAt))
	}
	if w.Pruned != nil {
		p.printf(", entries up to %d removed by retention %s", w.Pruned.Entries, a.ago(w.Pruned.At))
	}
	for _, x := range []struct{ name, value string }{{"owner", w.Owner}, {"ticket", w.Ticket}, {"snapshot", w.Snapshot}} {
		if x.value != "" {
			p.printf(", %s %s", x.name, clean(x.value))
		}
	}
	p.printf("\n  %s\n", countsText(w.Counts))
}
