package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"sideledger/ledger/journal"
)

// Edits of the mirror are found too: by the mirror's own chains, or by what the ledger knows that it had.
func TestTamperedMirror(t *testing.T) {
	h, key, note := tampered(t)
	files := h.mirrorBytes()
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		for name, raw := range files {
			lines := bytes.SplitAfter(bytes.Clone(raw), []byte("\n"))
			lines = lines[:len(lines)-1]
			n := rnd.IntN(len(lines))
			var r struct {
				Record struct {
					WindowID string `json:"window_id"`
					Number   int64  `json:"number"`
				} `json:"record"`
			}
			_ = json.Unmarshal(lines[n], &r)
			if r.Record.Number == 0 {
				continue // a signed head
			}
			switch i % 3 {
			case 0:
				at := 10 + rnd.IntN(len(lines[n])-12)
				lines[n][at] ^= 1
			case 1:
				lines = slices.Delete(lines, n, n+1)
			case 2:
				lines = lines[:n]
			}
			h.setMirror(map[string][]byte{name: bytes.Join(lines, nil)})
			bad := h.verifyAt(h.keeper.database(), verifyWith{note: note, key: key, dirs: []string{h.mirror}})
			if !slices.ContainsFunc(bad, func(d journal.Damage) bool { return d.WindowID == r.Record.WindowID && d.Number == r.Record.Number }) {
				t.Errorf("edit %d of record %d of window %s: found %v", i%3, r.Record.Number, r.Record.WindowID, bad)
			}
		}
	}
}

// A record of the mirror whose window's id was changed to what is none is found like any other edit.
func TestTamperedWindowID(t *testing.T) {
	beside(t)
	h, key, note := tampered(t)
	files := h.mirrorBytes()
	for name, raw := range files {
		lines := bytes.SplitAfter(raw, []byte("\n"))
		n := slices.IndexFunc(lines, func(line []byte) bool { return bytes.Contains(line, []byte(`"number":3,`)) })
		at := bytes.Index(lines[n], []byte(`"window_id":"`)) + len(`"window_id":"`)
		id := string(lines[n][at : at+36])
		lines[n] = bytes.Replace(lines[n], []byte(id), []byte("x"+id[1:]), 1)
		h.setMirror(map[string][]byte{name: bytes.Join(lines, nil)})
		bad := h.verifyAt(h.keeper.database(), verifyWith{note: note, key: key, dirs: []string{h.mirror}})
		if !slices.ContainsFunc(bad, func(d journal.Damage) bool { return d.WindowID == id && d.Number == 3 }) {
			t.Errorf("window %s, record 3: found %v", id, bad)
		}
	}
}
