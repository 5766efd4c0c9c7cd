package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"sideledger/api/client"
	"sideledger/api/wire"
	"sideledger/ledger"
)

// actions are what may happen next; the empty name is the check after each.
func (m *machine) actions() map[string]func(*rapid.T) {
	on := func(fn func()) func(*rapid.T) {
		return func(*rapid.T) {
			fn()
			m.settle()
		}
	}
	return map[string]func(*rapid.T){
		"":          m.check,
		"open":      on(m.openWindow),
		"turn":      on(m.turnWindow),
		"record":    on(func() { m.record(1) }),
		"batch":     on(func() { m.record(rapid.IntRange(2, 3).Draw(m.T, "n")) }),
		"repost":    on(m.repost),
		"report":    on(m.report),
		"effect":    on(m.effect),
		"hand":      on(m.hand),
		"rollback":  on(m.rollback),
		"roll back": on(m.rollback), // twice as often, as are the next two
		"steer":     on(m.steer),
		"steer on":  on(m.steer),
		"resolve":   on(m.resolve),
		"decide":    on(m.resolve),
		"leave":     on(m.leave),
		"time":      on(func() { m.sleep(time.Duration(rapid.IntRange(1, 100).Draw(m.T, "seconds")) * time.Second) }),
		"die":       on(m.dieOrLive),
		"not found": on(m.notFound),
	}
}

// window draws one that is there.
func (m *machine) window() *modelWindow {
	return m.model.windows[rapid.IntRange(0, len(m.model.windows)-1).Draw(m.T, "window")]
}

// entry draws one of those that are wanted; it is the call's own business what it says of others.
func (m *machine) entry(w *modelWindow, wanted func(*modelEntry) bool) *modelEntry {
	list := w.entries
	if rapid.IntRange(0, 9).Draw(m.T, "any") > 0 {
		list = slices.DeleteFunc(slices.Clone(list), func(e *modelEntry) bool { return !wanted(e) })
	}
	if len(list) == 0 {
		m.Skip("no entry")
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(m.T, "entry")]
}

func (m *machine) openWindow() {
	if len(m.model.windows) == 2 {
		m.Skip("enough")
	}
	var got wire.Window
	m.send("/v1/windows", wire.WindowDraft{Name: "w"}, http.StatusCreated, &got)
	m.model.windows = append(m.model.windows, &modelWindow{id: got.ID, state: "open"})
}

// turnWindow seals, reopens or keeps a window, sometimes only if it is as it was seen.
func (m *machine) turnWindow() {
	w := m.window()
	path := "/v1/windows/" + w.id
	call := rapid.SampledFrom([]string{"seal", "reopen", "keep"}).Draw(m.T, "call")
	if rapid.IntRange(0, 3).Draw(m.T, "match") > 0 {
		m.send(path+"/"+call, wire.ReasonRequest{}, w.turn(call), nil)
		return
	}
	var seen wire.Window
	m.get(path, &seen)
	off := rapid.IntRange(0, 1).Draw(m.T, "off")
	want := http.StatusPreconditionFailed
	if off == 0 {
		want = w.turn(call)
	}
	match := map[string]string{"If-Match": `"` + strconv.FormatInt(seen.Head.Number-int64(off), 10) + `"`}
	got, answer := m.ask(client.Call{Method: http.MethodPost, Path: path + "/" + call, Key: client.NewKey(), Body: json.RawMessage(`{}`), Header: match})
	if got != want {
		m.failf("%s if it matches answered %d %s, the model says %d", call, got, answer.Body, want)
	}
}

// draft draws a side effect. Facts are there before they are told of.
func (m *machine) draft(w *modelWindow, nth int) *modelEntry {
	e := &modelEntry{
		id: ledger.NewID().String(), system: fmt.Sprintf("party%d", rapid.IntRange(0, 1).Draw(m.T, "party")), after: m.value(),
		intent: rapid.Bool().Draw(m.T, "intent"), retain: rapid.IntRange(0, 7).Draw(m.T, "retain") == 7,
		within: time.Duration(rapid.IntRange(1, 120).Draw(m.T, "within")) * time.Second,
	}
	e.at = fmt.Sprintf("/%s/%d/%d", e.system, slices.Index(m.model.windows, w), rapid.IntRange(0, 2).Draw(m.T, "resource"))
	if m.model.shows[e.at] == "" {
		m.put(e, "base")
	}
	if len(w.entries) > 0 && nth == 0 && rapid.IntRange(0, 3).Draw(m.T, "depends") == 3 {
		e.dependsOn = []int{rapid.IntRange(1, len(w.entries)).Draw(m.T, "on")}
	}
	m.touched[e.at] = m.touched[e.at] || e.retain
	e.before = m.model.shows[e.at]
	if !e.intent {
		m.put(e, e.after)
	}
	return e
}

func (m *machine) wired(w *modelWindow, e *modelEntry) wire.EntryDraft {
	raw := func(format string, v string) json.RawMessage { return json.RawMessage(fmt.Sprintf(format, v)) }
	d := wire.EntryDraft{
		ID: e.id, System: e.system, Kind: "http.request", Action: "update", Resource: raw(`{"path":%q}`, e.at),
		Before: raw(`{"v":%q}`, e.before), After: raw(`{"v":%q}`, e.after), PerformWithin: e.within.String(),
		Undo: raw(`{"method":"PUT","path":%q,"body":"{{before}}"}`, e.at), Read: raw(`{"method":"GET","path":%q}`, e.at),
		State: map[bool]string{true: "intended", false: "applied"}[e.intent], OnRollback: map[bool]string{true: "retain", false: "undo"}[e.retain],
	}
	for _, n := range e.dependsOn {
		d.DependsOn = append(d.DependsOn, w.entries[n-1].id)
	}
	return d
}

func (m *machine) record(n int) {
	w := m.window()
	var list []*modelEntry
	var batch wire.EntryBatch
	for i := range n {
		e := m.draft(w, i)
		list = append(list, e)
		batch.Entries = append(batch.Entries, m.wired(w, e))
	}
	want := w.record(list, time.Now())
	if want != http.StatusCreated { // what was done without asking is there all the same, and nobody knows of it
		for _, e := range list {
			m.touched[e.at] = m.touched[e.at] || !e.intent
		}
	}
	if n == 1 {
		m.send("/v1/windows/"+w.id+"/entries", batch.Entries[0], want, nil)
	} else {
		m.send("/v1/windows/"+w.id+"/entries/batch", batch, want, nil)
	}
}

// repost posts an entry again: the same is the same entry in any state, another under its id is none.
func (m *machine) repost() {
	w := m.window()
	e := m.entry(w, func(e *modelEntry) bool { return e.intent })
	if e.copied {
		m.Skip("the ledger made it")
	}
	d := m.wired(w, e)
	want := http.StatusOK
	if rapid.Bool().Draw(m.T, "other") {
		d.Note, want = "other", http.StatusConflict
	}
	m.send("/v1/windows/"+w.id+"/entries", d, want, nil)
}

// report says what became of an intent, or that it takes longer.
func (m *machine) report() {
	w := m.window()
	e := m.entry(w, func(e *modelEntry) bool { return e.intent && !e.reported })
	path := "/v1/entries/" + e.id
	switch call := rapid.SampledFrom([]string{"applied", "void", "renew"}).Draw(m.T, "call"); call {
	case "applied":
		m.send(path+"/applied", wire.AppliedRequest{}, w.applied(e), nil)
	case "void":
		m.touched[e.at] = m.touched[e.at] || m.model.shows[e.at] != e.before // it is not true
		m.send(path+"/void", wire.ReasonRequest{Reason: "r"}, w.void(e), nil)
	case "renew":
		m.send(path+"/renew", struct{}{}, w.renew(e, time.Now()), nil)
	}
}

// effect makes what was announced happen, in time or not.
func (m *machine) effect() {
	e := m.entry(m.window(), func(e *modelEntry) bool { return e.intent })
	m.put(e, e.after)
	m.touched[e.at] = m.touched[e.at] || e.closed()
}

// hand is somebody who changes a resource by hand: to something new, or to what it was once.
func (m *machine) hand() {
	e := m.entry(m.window(), everyEntry)
	m.put(e, rapid.SampledFrom([]string{m.value(), e.before, e.after}).Draw(m.T, "to"))
	m.touched[e.at] = true
}

// trouble draws what goes wrong with the calls that the next operation leads to. Where what is stuck halts a run, a lost
// answer would change what is undone before that. Where undos are under way side by side nobody can tell which of them
// the runner dies of: the simulation has that.
func (m *machine) trouble(onStuck string) {
	halts := onStuck == "halt" || slices.ContainsFunc(m.model.windows, func(w *modelWindow) bool { return w.run != nil && w.run.onStuck == "halt" })
	switch n := rapid.IntRange(0, 7).Draw(m.T, "trouble"); {
	case n > 4 && m.model.alive && !m.beside:
		m.model.dies = map[int]string{6: "before", 7: "after"}[n]
		m.whims.set(func(w *whims) { w.dies = m.model.dies })
	case n > 2 && !halts:
		m.whims.set(func(w *whims) { w.loses = n - 2 })
	}
}

func (m *machine) rollback() {
	w := m.window()
	seqs := rapid.SliceOfN(rapid.IntRange(1, len(w.entries)+1), 1, 3)
	var p pick
	switch rapid.IntRange(0, 5).Draw(m.T, "selection") {
	case 3:
		p.only = seqs.Draw(m.T, "only")
	case 4:
		p.exclude = seqs.Draw(m.T, "exclude")
	case 5:
		p.toEntry = rapid.IntRange(1, len(w.entries)+1).Draw(m.T, "to_entry")
	}
	onStuck := rapid.SampledFrom([]string{"continue", "system", "halt"}).Draw(m.T, "on_stuck")
	m.parallel = 1
	if onStuck != "halt" { // what is under way beside the entry that halts it goes on
		m.parallel = rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(m.T, "parallel")
		m.beside = m.beside || m.parallel > 1
	}
	m.trouble(onStuck)
	m.start(w, p, onStuck)
}

func (m *machine) start(w *modelWindow, p pick, onStuck string) {
	text := func(list []int) []string {
		var out []string
		for _, n := range list {
			out = append(out, strconv.Itoa(n))
		}
		return out
	}
	body := wire.RollbackRequest{Only: text(p.only), Exclude: text(p.exclude), OnStuck: onStuck, Parallel: m.parallel}
	if p.toEntry > 0 {
		body.ToEntry = wire.EntryRef(strconv.Itoa(p.toEntry))
	}
	want := w.start(p, onStuck)
	var got wire.Rollback
	m.send("/v1/windows/"+w.id+"/rollbacks", body, want, &got)
	m.sameRun(w, want, got.ID)
}

// sameRun holds an answer to the run that the model has: its id is known from the first answer on.
func (m *machine) sameRun(w *modelWindow, status int, id string) {
	if status >= 300 {
		return
	}
	if w.run.id == "" {
		w.run.id = id
	}
	if w.run.id != id {
		m.failf("the answer is of run %s, the window's is %s", id, w.run.id)
	}
}

func (m *machine) steer() {
	w := m.window()
	if w.run == nil || w.run.over() && rapid.IntRange(0, 3).Draw(m.T, "over") < 3 {
		m.Skip("no run")
	}
	call := rapid.SampledFrom([]string{"pause", "resume", "cancel"}).Draw(m.T, "call")
	if call == "resume" {
		m.trouble("")
	}
	m.send("/v1/rollbacks/"+w.run.id+"/"+call, struct{}{}, w.steer(call), nil)
}

func (m *machine) resolve() {
	w := m.window()
	e := m.entry(w, func(e *modelEntry) bool { return e.state == "stuck" })
	word := modelWord{kind: rapid.SampledFrom([]string{"retry", "undo", "waive", "done"}).Draw(m.T, "decision")}
	body := wire.ResolveRequest{Decision: word.kind, Reason: "r"}
	if word.kind == "undo" && e.state == "stuck" && e.shown != "" && rapid.Bool().Draw(m.T, "seen") {
		var now wire.Entry
		m.get("/v1/entries/"+e.id, &now)
		word.seen, body.Seen = e.shown, now.NowDigest
	}
	m.trouble("")
	m.say(w, e, word, body)
}

func (m *machine) say(w *modelWindow, e *modelEntry, word modelWord, body wire.ResolveRequest) {
	if body.Seen != "" {
		m.whims.set(func(w *whims) { w.loses = 0 }) // its own look would be the first to lose its answer
	}
	m.touched[e.at] = m.touched[e.at] || word.kind == "waive" || word.kind == "done"
	want := m.model.resolve(w, e, word)
	m.send("/v1/entries/"+e.id+"/resolve", body, want, nil)
	if want == http.StatusOK && w.run.id == "" {
		var got wire.Window
		m.get("/v1/windows/"+w.id, &got)
		w.run.id = *got.RollbackID
	}
}

// leave lets a third party go away, or come back.
func (m *machine) leave() {
	name := rapid.SampledFrom([]string{"party0", "party1"}).Draw(m.T, "party")
	m.setAway(name, !m.model.away[name])
}

func (m *machine) setAway(name string, away bool) {
	m.model.away[name] = away
	m.whims.set(func(w *whims) { w.away[name], w.shaken = away, true })
}

func (m *machine) dieOrLive() {
	if m.model.alive {
		m.die()
		return
	}
	m.revive()
}

func (m *machine) revive() {
	m.liveRunner()
	for _, w := range m.model.windows {
		if w.run != nil {
			w.run.judged = map[int]bool{}
		}
	}
}

func (m *machine) notFound() {
	path := rapid.SampledFrom([]string{"/v1/windows/%s/seal", "/v1/windows/%s/rollbacks", "/v1/rollbacks/%s/pause", "/v1/entries/%s/applied", "/v1/entries/%s/renew"}).Draw(m.T, "path")
	m.send(fmt.Sprintf(path, ledger.NewID()), struct{}{}, http.StatusNotFound, nil)
}

// end lets all trouble end and rolls everything back; a person says undo for whatever is stuck. Then every resource
// that nobody has touched behind the ledger's back is what it was at first.
func (m *machine) end() {
	for _, p := range m.parties {
		m.setAway(p.name, false)
	}
	if !m.model.alive {
		m.revive()
	}
	m.settle()
	for _, w := range m.model.windows {
		m.endWindow(w)
		m.check(m.T)
	}
	for at, now := range m.model.shows {
		if !m.touched[at] && now != "base" {
			m.failf("%s shows %s at the end", at, now)
		}
	}
}

func (m *machine) endWindow(w *modelWindow) {
	if w.run != nil && !w.run.over() {
		m.send("/v1/rollbacks/"+w.run.id+"/cancel", struct{}{}, w.steer("cancel"), nil)
		m.settle()
	}
	if w.state == "kept" {
		m.send("/v1/windows/"+w.id+"/reopen", wire.ReasonRequest{}, w.turn("reopen"), nil)
	}
	m.start(w, pick{}, "continue")
	m.settle()
	m.sleep(3 * time.Minute) // every perform_by is over
	m.settle()
	for words := 0; w.state != "rolled_back"; words++ {
		i := slices.IndexFunc(w.entries, func(e *modelEntry) bool { return e.state == "stuck" && !e.retain })
		for j, e := range w.entries {
			if e.state == "stuck" && !e.retain {
				i = j // the newest
			}
		}
		if i < 0 || words > 3*len(w.entries) {
			m.failf("the window is %s after %d words, and nothing is listed", w.state, words)
		}
		m.say(w, w.entries[i], modelWord{kind: "undo"}, wire.ResolveRequest{Decision: "undo", Reason: "r"})
		m.settle()
	}
}
