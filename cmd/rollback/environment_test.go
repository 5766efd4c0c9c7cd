package main

import "testing"

// The span that a script runs under is passed on as it is, and nothing else in its place: it becomes a header.
func TestTraceparentOfTheEnvironment(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for value, want := range map[string]string{good: good, "": "", good + "\r\nX: y": "", "00-x-y-01": "", "4bf92f3577b34da6a3ce929d0e0e4736": ""} {
		a := newApp(func(name string) string {
			if name == "TRACEPARENT" {
				return value
			}
			return ""
		}, nil, nil, nil)
		if got := a.traceparent(); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
