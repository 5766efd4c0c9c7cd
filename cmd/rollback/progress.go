package main

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"sideledger/api/wire"
)

// A progress counts entries of a run as they come to their end and shows how far it is: as a bar on a
// terminal, as plain lines elsewhere.
type progress struct {
	mu    sync.Mutex
	page  *page
	bar   bool
	total int
	done  int
	seen  map[string]string // what was shown last, by entry id
	drawn int               // characters of the bar that stands there
}

// newProgress counts what is left to do from 1. Of a run that others started a while ago the stream tells again what
// it has closed, so that is counted too; what is retained has no end to tell of.
func newProgress(a *app, rb *wire.Rollback) *progress {
	p := &progress{
		page: a.page(a.stderr), bar: terminal(a.stderr) && a.getenv("TERM") != "dumb",
		total: rb.Left(), seen: map[string]string{},
	}
	if rb.StartedAt != nil {
		p.total += closedOf(rb.Counts) - rb.Counts.Retained
	}
	return p
}

// closedOf returns how many entries are closed.
func closedOf(c wire.Counts) int {
	return c.Undone + c.AlreadyUndone + c.Compensated + c.Unverified + c.ByHand + c.Waived + c.Retained + c.Void
}

// entry shows that an entry has come to an end; false: it has not, or that was shown.
func (p *progress) entry(r *wire.Record) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	word, tint := ending(r.Entry)
	if word == "" || p.seen[r.EntryID] == word {
		return false
	}
	meanwhile := false
	if p.seen[r.EntryID] == "" {
		p.done++
		meanwhile = p.done > p.total
		p.total = max(p.total, p.done)
	}
	p.seen[r.EntryID] = word
	width := len(fmt.Sprint(p.total))
	text := fmt.Sprintf("[%0*d/%0*d] %s %s %s  entry %d", width, p.done, width, p.total, p.page.paint(tint, word),
		clean(r.Entry.System), clean(r.Entry.Kind), r.Entry.Seq)
	if meanwhile {
		text += ", which came meanwhile"
	}
	if r.Entry.Detail != "" && (r.Entry.State == "stuck" || r.Entry.Outcome == "compensated") {
		text += ": " + clean(r.Entry.Detail)
	}
	p.raw(text)
	return true
}

// ending says in words how an entry ended; "" while it has not.
func ending(e *wire.RecordEntry) (string, tint) {
	switch e.State {
	case "undone":
		if e.Outcome == "" {
			return "undone", tintGood
		}
		return e.Outcome, tintGood
	case "stuck":
		if e.Decision != nil {
			return "", tintNone
		}
		return "stuck: " + clean(e.Reason), tintWarn
	case "waived":
		return "waived", tintDim
	case "void":
		return "void", tintDim
	default:
		return "", tintNone
	}
}

// line shows one line of talk above the bar.
func (p *progress) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.raw(clean(fmt.Sprintf(format, args...)))
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) raw(text string) {
	p.clear()
	p.page.printf("%s\n", text)
	p.draw()
}

const barWidth = 30

func (p *progress) draw() {
	if !p.bar || p.total == 0 {
		return
	}
	filled := barWidth * p.done / p.total
	text := fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", filled), strings.Repeat("-", barWidth-filled), p.done, p.total)
	p.drawn = utf8.RuneCountInString(text)
	p.page.printf("%s", text)
}

func (p *progress) clear() {
	if p.drawn > 0 {
		p.page.printf("\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}
