package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sideledger/api/wire"
)

// start starts a run that goes through the script, or joins the running one.
func (f *fake) start(window, body string) (int, any) {
	var r wire.RollbackRequest
	if body != "" {
		if err := strict(body, &r); err != nil {
			return 422, "invalid"
		}
	}
	w := f.window(window)
	switch {
	case w == nil:
		return 404, "not_found"
	case r.Plan != "" && r.Plan != "fp-"+strconv.FormatInt(w.Head.Number, 10):
		return 412, "stale"
	case w.RollbackID != nil && (w.State == "rolled_back" || !f.rollback(*w.RollbackID).Over()):
		rb := *f.rollback(*w.RollbackID)
		if rb.Over() {
			return 200, rb
		}
		return 202, rb
	}
	rb := &wire.Rollback{
		ID: uuid.Must(uuid.NewV7()).String(), WindowID: window, State: "queued", Counts: f.countsOf(window), Reason: r.Reason,
		Only: r.Only, Exclude: r.Exclude, OnStuck: r.OnStuck, CreatedAt: time.Now().UTC(),
		Partial: len(r.Only)+len(r.Exclude) > 0 || r.ToEntry != "" || r.ToTag != "",
	}
	rb.ToEntry, _ = strconv.Atoi(string(r.ToEntry))
	f.rollbacks = append(f.rollbacks, rb)
	w.RollbackID, w.State = &rb.ID, "rolling_back"
	f.noteRun(w, rb)
	go f.run(w, rb, f.script)
	return 202, *rb
}

// steer pauses, resumes or cancels a run that a script holds.
func (f *fake) steer(id, call string) (int, any) {
	rb := f.rollback(id)
	if rb == nil {
		return 404, "not_found"
	}
	if rb.Over() {
		return 409, "conflict"
	}
	rb.State = map[string]string{"pause": "paused", "resume": "queued", "cancel": "cancelled"}[call]
	f.noteRun(f.window(rb.WindowID), rb)
	return 200, *rb
}

// confirm gives the second words that a run asked for.
func (f *fake) confirm(id, body string) (int, any) {
	var r wire.ConfirmRequest
	if err := strict(body, &r); err != nil || r.Reason == "" {
		return 422, "invalid"
	}
	rb := f.rollback(id)
	if rb == nil {
		return 404, "not_found"
	}
	now, given := time.Now().UTC(), false
	for i := range rb.SecondWords {
		if w := &rb.SecondWords[i]; r.System == "" || r.System == w.System {
			w.GivenAt, w.Reason, given = &now, r.Reason, true
		}
	}
	if !given {
		return 409, "conflict"
	}
	return 200, *rb
}

func (f *fake) noteRun(w *wire.Window, rb *wire.Rollback) {
	f.note(w, "rollback."+rb.State, wire.Record{
		RollbackID: rb.ID, Rollback: &wire.RecordRollback{State: rb.State, Waiting: rb.Waiting, Complete: rb.Complete},
	})
}

// run goes through a script: "undone 3 undone", "stuck 2 drifted", "waived 1", "wait perform_by", "ask edge",
// "hold" until the test lets it go on, "cancel". At its end it is finished.
func (f *fake) run(w *wire.Window, rb *wire.Rollback, script []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now().UTC()
	rb.State, rb.StartedAt = "running", &now
	f.noteRun(w, rb)
	end := "finished"
	for _, step := range script {
		words := append(strings.Fields(step), "", "")
		switch words[0] {
		case "hold":
			for f.going == 0 {
				f.changed.Wait()
			}
			f.going--
		case "wait":
			rb.State, rb.Waiting = "waiting", &wire.Waiting{Why: words[1], On: words[2]}
			f.noteRun(w, rb)
		case "ask":
			rb.SecondWords = []wire.SecondWord{{System: words[1], Detail: "more than 60 deletions within a minute", AskedAt: now}}
			f.noteRun(w, rb)
		case "held": // "held 1 2": entry 1 waits for entry 2, which was not selected
			seq, _ := strconv.Atoi(words[1])
			by, _ := strconv.Atoi(words[2])
			rb.Held = append(rb.Held, wire.Held{EntryID: "e\x1b[2J", Seq: seq, By: by})
		case "cancel":
			end = "cancelled"
		default:
			f.end(w, rb, words)
		}
	}
	rb.State, rb.Waiting, rb.FinishedAt, rb.Counts = end, nil, &now, f.countsOf(w.ID)
	rb.Complete = rb.Counts.Stuck+rb.Counts.Remaining == 0
	w.Counts, w.State = rb.Counts, "stuck"
	switch {
	case rb.Complete:
		w.State = "rolled_back"
	case end == "cancelled" && rb.Counts.Stuck == 0:
		w.State = "sealed"
	}
	f.noteRun(w, rb)
}

// end moves an entry to its end.
func (f *fake) end(w *wire.Window, rb *wire.Rollback, words []string) {
	seq, _ := strconv.Atoi(words[1])
	e := find(f.entries, func(e *wire.Entry) bool { return e.WindowID == w.ID && e.Seq == seq })
	if e == nil {
		f.t.Errorf("no entry %d", seq)
		return
	}
	e.State, e.Outcome, e.Reason = words[0], "", ""
	switch words[0] {
	case "undone":
		e.Outcome = words[2]
		if e.Outcome == "compensated" {
			e.Alias = &wire.Alias{Resource: []byte(`{"id":"new\u001b[2J"}`), At: time.Now().UTC()}
			e.Detail = `it came back as {"id":"new"}: whoever knows it by its old name has to be told`
		}
	case "stuck":
		e.Reason, e.Detail, e.NowDigest = words[2], "somebody \x1b[2Jelse changed it", "digest-1"
		e.Now, e.Next = []byte(`{"v":"theirs"}`), "rollback resolve "+e.ID+" --undo --reason '…'"
	}
	rb.State, rb.Waiting = "running", nil
	f.noteEntry(w, "entry."+e.State, e, rb.ID)
}

func (f *fake) countsOf(window string) wire.Counts {
	var c wire.Counts
	for _, e := range f.entries {
		if e.WindowID != window {
			continue
		}
		switch e.State + " " + e.Outcome {
		case "undone undone":
			c.Undone++
		case "undone already_undone":
			c.AlreadyUndone++
		case "undone compensated":
			c.Compensated++
		case "undone by_hand":
			c.ByHand++
		case "waived ":
			c.Waived++
		case "void ":
			c.Void++
		case "stuck ":
			c.Stuck++
		default:
			c.Remaining++
		}
	}
	return c
}

// letGo lets a held run go on.
func (f *fake) letGo() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.going++
	f.changed.Broadcast()
}

// plays says what the next run goes through.
func (f *fake) plays(script ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

func (f *fake) makePlan(window string) (int, any) {
	w := f.window(window)
	if w == nil {
		return 404, "not_found"
	}
	p := wire.Plan{WindowID: window, ComputedAt: time.Now().UTC(), Steps: f.plan, Counts: map[string]int{}, Fingerprint: "fp-" + strconv.FormatInt(w.Head.Number, 10)}
	for _, s := range f.plan {
		p.Counts[s.Verdict]++
	}
	return 200, p
}
