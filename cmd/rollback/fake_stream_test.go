package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sideledger/api/wire"
)

// note adds a record to a window's journal.
func (f *fake) note(w *wire.Window, kind string, r wire.Record) {
	w.Head.Number++
	r.Number, r.At, r.Kind = w.Head.Number, time.Now().UTC(), kind
	data, err := json.Marshal(r)
	if err != nil {
		f.t.Errorf("encode: %v", err)
	}
	f.records[w.ID] = append(f.records[w.ID], wire.Event{ID: r.Number, Kind: kind, Data: data})
	f.changed.Broadcast()
}

func (f *fake) noteEntry(w *wire.Window, kind string, e *wire.Entry, run string) {
	r := wire.Record{EntryID: e.ID, RollbackID: run, Entry: &wire.RecordEntry{
		Seq: e.Seq, System: e.System, Kind: e.Kind, State: e.State, Reason: e.Reason, Detail: e.Detail, Outcome: e.Outcome,
	}}
	if e.Decision != nil {
		r.Entry.Decision = new(struct{})
	}
	f.note(w, kind, r)
	e.Journal.Number = w.Head.Number
}

// stream serves a window's records as server-sent events, those of one run until it is over.
func (f *fake) stream(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	id, run := parts[3], ""
	f.mu.Lock()
	defer f.mu.Unlock()
	if parts[2] == "rollbacks" {
		run = id
		rb := f.rollback(run)
		if rb == nil {
			problem(w, 404, "not_found")
			return
		}
		id = rb.WindowID
	}
	after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	w.Header().Set("Content-Type", "text/event-stream")
	server := f.server
	go func() { // wakes the loop below when the follower goes away
		<-r.Context().Done()
		f.changed.Broadcast()
	}()
	for f.server == server && r.Context().Err() == nil {
		for _, e := range f.records[id] {
			var rec wire.Record
			json.Unmarshal(e.Data, &rec)
			if e.ID <= after || f.mute && rec.Rollback != nil || run != "" && rec.RollbackID != run {
				continue
			}
			after = e.ID
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, e.Data)
		}
		http.NewResponseController(w).Flush()
		if run != "" && f.rollback(run).Over() {
			fmt.Fprint(w, ": end\n\n")
			return
		}
		f.changed.Wait()
	}
}
