package main

import (
	"strings"

	"sideledger/api/wire"
)

func (f *fake) report(id, what, body string) (int, any) {
	e := f.entry(id)
	if e == nil {
		return 404, "not_found"
	}
	w := f.window(e.WindowID)
	switch what {
	case "applied":
		var r wire.AppliedRequest
		if err := strict(body, &r); err != nil {
			return 422, "invalid"
		}
		e.State = "applied"
		if r.After != nil {
			e.After = r.After
		}
		if r.Resource != nil {
			e.Resource = r.Resource
		}
	case "void":
		e.State = "void"
	case "resolve":
		return f.decide(e, body)
	}
	f.noteEntry(w, "entry."+what, e, "")
	return 200, e
}

func (f *fake) decide(e *wire.Entry, body string) (int, any) {
	var r wire.ResolveRequest
	if err := strict(body, &r); err != nil || r.Reason == "" {
		return 422, "invalid"
	}
	if e.State != "stuck" {
		return 409, "conflict"
	}
	if r.Seen != "" && r.Seen != "digest-2" && f.moved {
		e.Now, e.NowDigest = []byte(`{"v":"moved\u001b[2J"}`), "digest-2"
	}
	if r.Seen != "" && r.Seen != e.NowDigest {
		return 412, "stale"
	}
	e.Decision = &wire.Decision{Decision: r.Decision, Reason: r.Reason}
	if f.resolve != "" {
		f.settle(e)
	}
	f.noteEntry(f.window(e.WindowID), "entry.decided", e, "")
	return 200, e
}

// settle acts on a decision as the test has said.
func (f *fake) settle(e *wire.Entry) {
	e.State, e.Reason, _ = strings.Cut(f.resolve, " ")
	e.Decision, e.Outcome = nil, ""
	if e.State == "undone" {
		e.Outcome = "undone"
	}
}
