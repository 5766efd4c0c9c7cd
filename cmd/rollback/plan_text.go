package main

import (
	"fmt"
	"net/http"
	"strings"

	"sideledger/api/wire"
)

// A textPlan shows a plan to people: a symbol and a word for each verdict.
type textPlan struct {
	app    *app
	page   *page
	window *wire.Window
	run    string // the command that would run it; empty: not said
	begun  bool

	waits int // steps that are blocked only while their third party does not answer

	restored bool // the last step was the restore of the snapshot
}

func (t *textPlan) begin() {
	if t.begun {
		return
	}
	t.begun = true
	t.page.window(t.app, t.window)
	t.page.printf("\nPlan, newest first. Nothing was changed.\n\n")
}

func (t *textPlan) step(s *wire.PlanStep) error {
	t.begin()
	t.heading(s)
	symbol, tint := verdictSymbol(s)
	word := verdictWord(s.Verdict)
	if s.Waits {
		symbol, word, tint = "-", "waiting", tintWarn
		t.waits++
	}
	line := fmt.Sprintf("%5d %s  %s  %s  %s", s.Seq, t.page.paint(tint, symbol+" "+pad(word, 14)),
		pad(clean(s.System), 10), pad(clean(s.Kind), 16), pad(short(describe(s.Resource), 60), 36))
	if s.Detail != "" {
		line += "  " + t.page.paint(tintDim, clean(s.Detail))
	}
	t.page.printf("%s\n", strings.TrimRight(line, " "))
	if s.Verdict == "manual" && s.Request != nil && s.Request.Summary != "" {
		t.page.printf("        %s\n", clean(s.Request.Summary))
	}
	if s.Verdict == "drifted" {
		t.now(s)
	}
	return wrapWrite(t.page.err)
}

// now shows what a drifted resource looks like.
func (t *textPlan) now(s *wire.PlanStep) {
	switch {
	case s.Now == nil:
	case string(s.Now) == "null":
		t.page.printf("        now: (not there)\n")
	default:
		t.page.printf("        now: %s\n", short(clean(string(s.Now)), 160))
	}
	if s.Next != "" {
		t.page.printf("        next: %s\n", clean(s.Next))
	}
}

func (t *textPlan) end(p *wire.Plan) error {
	if err := t.summary(p); err != nil {
		return err
	}
	if t.run != "" && work(p.Counts) > 0 {
		t.page.printf("Run it:  %s\n", t.run)
	}
	return wrapWrite(t.page.err)
}

func (t *textPlan) summary(p *wire.Plan) error {
	t.begin()
	var parts []string
	for _, v := range verdicts {
		n := p.Counts[v.name]
		if v.name == "blocked" && t.waits > 0 {
			n -= t.waits
			parts = append(parts, fmt.Sprintf("%d waiting", t.waits))
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v.summary))
		}
	}
	for _, name := range sortedKeys(p.Counts) {
		if !known(name) && p.Counts[name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.Counts[name], clean(name)))
		}
	}
	text := "no entries"
	if parts != nil {
		text = strings.Join(parts, ", ")
	}
	t.page.printf("\n%s %s.\n", t.page.paint(tintBold, "Plan:"), text)
	t.takes(p)
	return wrapWrite(t.page.err)
}

type verdictRow struct {
	name, word, summary string
	symbol              string
	tint                tint
}

// verdicts lists what a plan may say of an entry, in the order of the summary.
var verdicts = []verdictRow{
	{"undo", "undo", "to undo", "~", tintChange},
	{"already_undone", "already undone", "already undone", "=", tintGood},
	{"drifted", "drifted", "drifted", "?", tintWarn},
	{"in_doubt", "in doubt", "in doubt", "?", tintWarn},
	{"manual", "manual", "manual", "!", tintWarn},
	{"irreversible", "irreversible", "irreversible", "!", tintWarn},
	{"blocked", "blocked", "blocked", "x", tintBad},
	{"retained", "retained", "retained", "*", tintDim},
	{"waived", "waived", "waived", ".", tintDim},
	{"void", "void", "void", ".", tintDim},
}

func known(verdict string) bool {
	for _, v := range verdicts {
		if v.name == verdict {
			return true
		}
	}
	return false
}

func verdictWord(verdict string) string {
	for _, v := range verdicts {
		if v.name == verdict {
			return v.word
		}
	}
	return clean(verdict)
}

// verdictSymbol returns the symbol of a step: for an undo it tells deleting, changing back and making
// again apart.
func verdictSymbol(s *wire.PlanStep) (string, tint) {
	if s.Verdict == "undo" && s.Request != nil {
		switch {
		case s.Request.Method == http.MethodDelete:
			return "-", tintChange
		case string(s.Now) == "null":
			return "+", tintChange
		}
	}
	for _, v := range verdicts {
		if v.name == s.Verdict {
			return v.symbol, v.tint
		}
	}
	return "?", tintWarn
}
