package main

import (
	"bytes"
	"strings"
	"testing"

	"sideledger/ledger/journal"
)

// A mirror is read twice: what is wrong with it is known before anything is made. If it is another one the second time nothing of it is
// kept; what was only added to it is passed over.
func TestMirrorChangesWhileItIsRead(t *testing.T) {
	h := newHouse(t, true)
	h.serve()
	w := h.window("w")
	h.effect(w.ID, "/1")
	h.stop()
	before := h.mirrorBytes()
	h.serve()
	h.effect(w.ID, "/2")
	h.stop()
	after := h.mirrorBytes()
	taken := func(c *mirrorCopy) (n int64, err error) {
		err = c.again(t.Context(), func(journal.Mirrored) error { n++; return nil })
		return n, err
	}
	h.setMirror(before)
	old, err := readCopy(t.Context(), h.mirror, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.setMirror(after)
	if n, err := taken(old); err != nil || n != old.seen.Records {
		t.Errorf("of a mirror that had %d records %d were taken: %v", old.seen.Records, n, err)
	}
	for name, changeFunc := range map[string]func(raw []byte) []byte{
		"cut":     func(raw []byte) []byte { return raw[:bytes.LastIndex(raw, []byte(`{"hash"`))] },
		"changed": func(raw []byte) []byte { return bytes.Replace(raw, []byte(`"w"`), []byte(`"W"`), 1) },
	} {
		h.setMirror(after)
		now, err := readCopy(t.Context(), h.mirror, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		other := map[string][]byte{}
		for file, raw := range after {
			other[file] = changeFunc(raw)
		}
		h.setMirror(other)
		if _, err := taken(now); err == nil || !strings.Contains(err.Error(), "has changed while it was read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
