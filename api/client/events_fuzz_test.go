package client

import (
	"errors"
	"io"
	"strings"
	"testing"

	"sideledger/api/wire"
)

func FuzzEvents(f *testing.F) {
	f.Add("retry: 1000\n\nid: 1\nevent: window.opened\ndata: {}\n\n: alive\n\n: end\n\n")
	f.Add("id: 2\r\ndata: a\r\ndata:b\r\n\r\n")
	f.Add("data\n\nid\n\n:\n\n\n")
	f.Add("id: 1\ndata: {}")
	f.Fuzz(func(t *testing.T, text string) {
		lines, frames := 0, 0
		err := readEvents(strings.NewReader(text), func() { lines++ }, func(e frame) error {
			if frames++; strings.Contains(e.id+e.kind, "\n") {
				t.Fatalf("%q has the event %+v", text, e)
			}
			for part := range strings.SplitSeq(e.data, "\n") {
				if !strings.Contains(text, part) {
					t.Fatalf("%q has the event %+v", text, e)
				}
			}
			return nil
		})
		ended := strings.Contains(text, "end")
		if !errors.Is(err, io.ErrUnexpectedEOF) && (!errors.Is(err, errEnded) || !ended) || frames > lines {
			t.Fatalf("%q: %v after %d lines and %d events", text, err, lines, frames)
		}
		// The numbers that a stream gives out only grow, and what has none is an error.
		s := &stream{each: func(wire.Event) error { return nil }}
		_ = readEvents(strings.NewReader(text), func() {}, func(e frame) error {
			before := s.last
			err := s.deliver(e)
			if s.last < before || err == nil && e.id == "" {
				t.Fatalf("%+v moves from %d to %d", e, before, s.last)
			}
			return nil
		})
	})
}
