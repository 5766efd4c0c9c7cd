package main

import (
	"net/http"
	"slices"
	"time"
)

// A modelRun is one rollback of the model.
type modelRun struct {
	id      string
	state   string
	pick    pick
	upTo    int   // the newest entry that was there when a partial run began; 0: no bound
	also    []int // entries that it brought to light itself
	again   bool  // what earlier runs left stuck is looked at again
	onStuck string
	judged  map[int]bool // entries that its final look has visited
}

// A pick is the selection of a run, by numbers of entries.
type pick struct {
	only, exclude []int
	toEntry       int
}

func (p pick) all() bool { return len(p.only) == 0 && len(p.exclude) == 0 && p.toEntry == 0 }

func (p pick) same(o pick) bool {
	sorted := func(l []int) []int { return slices.Compact(slices.Sorted(slices.Values(l))) }
	return p.toEntry == o.toEntry && slices.Equal(sorted(p.only), sorted(o.only)) && slices.Equal(sorted(p.exclude), sorted(o.exclude))
}

func (r *modelRun) over() bool { return r.state == "finished" || r.state == "cancelled" }

func (r *modelRun) has(e *modelEntry) bool {
	if slices.Contains(r.also, e.seq) {
		return true
	}
	return e.seq > r.pick.toEntry && (r.upTo == 0 || e.seq <= r.upTo) &&
		(len(r.pick.only) == 0 || slices.Contains(r.pick.only, e.seq)) && !slices.Contains(r.pick.exclude, e.seq)
}

// start asks for a rollback.
func (w *modelWindow) start(p pick, onStuck string) int {
	known := func(n int) bool { return n >= 1 && n <= len(w.entries) }
	for _, n := range slices.Concat(p.only, p.exclude) {
		if !known(n) {
			return http.StatusUnprocessableEntity
		}
	}
	picks := func(e *modelEntry) bool { return (&modelRun{pick: p}).has(e) }
	switch {
	case p.toEntry != 0 && !known(p.toEntry), len(p.only)+len(p.exclude) > 0 && !slices.ContainsFunc(w.entries, picks):
		return http.StatusUnprocessableEntity
	case w.run != nil && !w.run.over() && !w.run.pick.same(p):
		return http.StatusConflict
	case w.run != nil && !w.run.over():
		return http.StatusAccepted
	case w.state == "rolled_back":
		return http.StatusOK
	case w.state == "kept" && p.all():
		return http.StatusConflict
	}
	w.begin(&modelRun{pick: p, again: true, onStuck: onStuck})
	return http.StatusAccepted
}

func (w *modelWindow) begin(r *modelRun) {
	r.state, r.judged = "queued", map[int]bool{}
	if w.run = r; r.pick.all() {
		w.state, w.resume = "rolling_back", ""
	} else if r.upTo == 0 {
		r.upTo = len(w.entries)
	}
}

// resolve is a person's word on an entry. seen: the value that the person was shown; empty: nothing was asked.
func (m *model) resolve(w *modelWindow, e *modelEntry, word modelWord) int {
	last, closes := w.run, word.kind == "waive" || word.kind == "done"
	switch {
	case e.state == "stuck" && word.seen != "" && m.away[e.system]:
		return http.StatusServiceUnavailable
	case e.state == "stuck" && word.seen != "" && m.shows[e.at] != word.seen:
		e.shown = m.shows[e.at] // the entry shows it since
		return http.StatusPreconditionFailed
	case e.state != "stuck", last != nil && !last.over() && !last.has(e) && !closes:
		return http.StatusConflict
	}
	switch word.kind {
	case "waive":
		e.state = "waived"
	case "done":
		e.state, e.outcome = "undone", "by_hand"
	default:
		e.word = &word
	}
	if !last.over() {
		return http.StatusOK
	}
	next := &modelRun{onStuck: last.onStuck}
	switch {
	case last.state == "cancelled", !w.fenced() && !last.has(e):
		next.pick = pick{only: []int{e.seq}}
	case !w.fenced():
		next.pick, next.upTo, next.also = last.pick, last.upTo, last.also
	}
	w.begin(next)
	return http.StatusOK
}

// steer pauses, resumes or cancels the window's run.
func (w *modelWindow) steer(call string) int {
	r := w.run
	switch {
	case call == "cancel" && r.state == "cancelled":
		return http.StatusOK
	case r.over():
		return http.StatusConflict
	case call == "pause":
		r.state = "paused"
	case call == "resume" && r.state == "paused":
		r.state, r.judged = "queued", map[int]bool{}
	case call == "cancel":
		w.cancel(r)
	}
	return http.StatusOK
}

func (w *modelWindow) cancel(r *modelRun) {
	for _, e := range w.entries {
		if e.state == "undoing" {
			e.state, e.reason = "stuck", "in_doubt"
		}
	}
	r.state = "cancelled"
	switch {
	case !r.pick.all():
		w.endPartial()
	case w.has("stuck"):
		w.state, w.resume = "stuck", "sealed"
	default:
		w.state = "sealed"
	}
}

// endPartial: the window is stuck if an entry is, else what it was.
func (w *modelWindow) endPartial() {
	switch stuck := w.has("stuck"); {
	case stuck && w.state != "stuck":
		w.resume, w.state = w.state, "stuck"
	case stuck, w.state != "stuck":
	case w.resume != "":
		w.state, w.resume = w.resume, ""
	case w.allClosed(everyEntry):
		w.state = "rolled_back"
	}
}

// work does what a living runner does until it can do nothing more right now.
func (m *model) work(now time.Time) {
	for _, w := range m.windows {
		for m.alive && w.run != nil && slices.Contains([]string{"queued", "running", "waiting"}, w.run.state) {
			w.run.state = "running"
			moved, waits := m.pass(w, now)
			switch {
			case moved || !m.alive:
				continue
			case !waits:
				moved, waits = m.finalLook(w)
			}
			if waits && !moved {
				w.run.state = "waiting"
				break
			}
			if !moved {
				w.finish()
			}
		}
	}
}

func (w *modelWindow) finish() {
	w.run.state = "finished"
	switch {
	case !w.run.pick.all():
		w.endPartial()
	case w.allClosed(everyEntry):
		w.state = "rolled_back"
	default:
		w.state = "stuck"
	}
}

// A holding is what entries that stay open hold: nothing overtakes a dependency.
type holding struct {
	at, systems map[string]bool
	seqs        map[int]bool
}

func (h *holding) add(e *modelEntry) {
	h.at[e.at] = true
	for _, n := range e.dependsOn {
		h.seqs[n] = true
	}
}

func (h *holding) holds(e *modelEntry) bool {
	return h.at[e.at] || h.systems[e.system] || h.seqs[e.seq]
}

// pass goes through the open entries, newest first. moved: an entry was closed or got stuck.
func (m *model) pass(w *modelWindow, now time.Time) (moved, waits bool) {
	h := holding{at: map[string]bool{}, systems: map[string]bool{}, seqs: map[int]bool{}}
	for _, e := range slices.Backward(w.entries) {
		taken := w.run.has(e)
		stuck := e.state == "stuck" && (!w.run.retries(e) || h.holds(e))
		switch {
		case e.closed():
			continue
		case !taken, !stuck && h.holds(e):
			h.add(e)
			continue
		case !stuck && e.state == "intended" && now.Before(e.by):
			return moved, true // an effect may still come, and nothing older goes first
		case !stuck && m.away[e.system]:
			waits = true
			h.add(e)
			continue
		case !stuck:
			moved = true
			if m.undo(w, e); !m.alive {
				return moved, waits
			}
		}
		if e.state != "stuck" {
			continue
		}
		h.add(e)
		switch w.run.onStuck {
		case "system":
			h.systems[e.system] = true
		case "halt":
			return moved, waits
		}
	}
	return moved, waits
}

// retries: a run takes up what a person decided on, and one that was asked for takes up what earlier ones left, but for
// facts that came late: those wait for a word.
func (r *modelRun) retries(e *modelEntry) bool {
	return e.word != nil || r.again && e.run != r && e.reason != "late"
}

// baseline returns the earliest entry on a resource that counts, and which neighbours of e are undone.
func (w *modelWindow) baseline(e *modelEntry) (base *modelEntry, olderUndone, lateUndone bool) {
	for _, o := range w.entries {
		if o.at != e.at {
			continue
		}
		if base == nil && o.counts() {
			base = o
		}
		if o.state == "undone" {
			olderUndone = olderUndone || o.seq < e.seq
			lateUndone = lateUndone || o.seq > e.seq && o.late
		}
	}
	return base, olderUndone, lateUndone
}

// undo looks at one entry and does what the look says.
func (m *model) undo(w *modelWindow, e *modelEntry) {
	base, olderUndone, lateUndone := w.baseline(e)
	before, home := e.before, false
	if base != nil && base != e {
		if e.late && olderUndone {
			before = base.before
		} else {
			home = lateUndone && m.shows[e.at] == base.before
		}
	}
	unheard := e.state == "intended"
	e.doubted = e.doubted || unheard
	e.run = w.run
	now := m.shows[e.at]
	ordered := e.word != nil && e.word.kind == "undo" && (e.word.seen == "" || e.word.seen == now)
	switch {
	case now == before && unheard:
		e.state = "void"
	case now == before:
		e.close()
	case now == e.after, ordered:
		m.send(e, before)
	case unheard:
		e.state, e.reason, e.shown = "stuck", "in_doubt", now
	case home:
		e.close()
	default:
		e.state, e.reason, e.shown, e.word, e.torn = "stuck", "drifted", now, nil, false
	}
}

// close ends an entry that shows what it has to: by an undo of ours that was sent before, or by somebody else.
func (e *modelEntry) close() {
	e.state, e.outcome, e.word = "undone", "already_undone", nil
	if e.torn {
		e.outcome = "undone"
	}
	e.torn = false
}

// send sends the undo; the runner may die of it.
func (m *model) send(e *modelEntry, before string) {
	e.sent = true
	if m.dies != "" {
		e.state, e.reason, e.torn, m.alive = "undoing", "", true, false
		if m.dies == "after" {
			m.shows[e.at] = before
		}
		return
	}
	m.shows[e.at] = before
	e.state, e.outcome, e.word, e.torn = "undone", "undone", nil, false
}

// finalLook visits what was judged by looking once more: an effect that turned up since is taken in.
func (m *model) finalLook(w *modelWindow) (moved, waits bool) {
	for _, e := range slices.Clone(w.entries) {
		if !e.doubted || e.state != "void" && e.state != "undone" || w.run.judged[e.seq] || !w.run.has(e) {
			continue
		}
		if m.away[e.system] {
			waits = true
			continue
		}
		w.run.judged[e.seq] = true
		if m.shows[e.at] != e.after || w.explained(m.shows[e.at], e) {
			continue
		}
		moved = true
		if e.state == "void" {
			e.state, e.late, e.reported = "applied", true, true
			continue
		}
		e.doubted = false
		again := &modelEntry{
			system: e.system, at: e.at, seq: len(w.entries) + 1, before: e.before, after: e.after, dependsOn: e.dependsOn,
			within: e.within, state: "applied", late: true, reported: true, copied: true,
		}
		w.entries = append(w.entries, again)
		if !w.run.pick.all() {
			w.run.also = append(w.run.also, again.seq)
		}
	}
	return moved, waits
}

// explained reports whether another entry, or the baseline, accounts for what a resource shows.
func (w *modelWindow) explained(now string, e *modelEntry) bool {
	base, _, _ := w.baseline(e)
	if base != nil && base.before == now {
		return true
	}
	return slices.ContainsFunc(w.entries, func(o *modelEntry) bool {
		return o != e && o.at == e.at && o.after == now && slices.Contains([]string{"applied", "undoing", "stuck", "waived"}, o.state)
	})
}
