package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A blocking is an answer by which a third party refuses the call until a person has done something there, an approval
// above all: an element of the field blocked_when of undo.
type blocking struct {
	status    []int
	predicate *predicate // of the answer's body; nil: the status is enough
	because   string
}

// blockings reads the member; nil: it is not there.
func (f *fields) blockings(name string) []blocking {
	raw := f.raw(name)
	if raw == nil {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		f.p.fail(f.at(name), "has to be a list of {status, body, because}")
	}
	out := make([]blocking, 0, len(list))
	for i, one := range list {
		s := f.p.object(f.at(name)+"/"+itoa(i), one)
		b := blocking{status: s.statuses("status"), predicate: s.predicate("body"), because: s.text("because", "")}
		s.end()
		switch {
		case len(b.status) == 0 || b.because == "":
			f.p.fail(s.path, "has status, and because: what a person has to do")
		case slices.ContainsFunc(b.status, func(status int) bool {
			return status < 400 || status == http.StatusUnauthorized || status == http.StatusForbidden
		}):
			f.p.fail(s.at("status"), "has a status that is no refusal, or 401 or 403, which are about the credential")
		}
		out = append(out, b)
	}
	return out
}

// waits returns the error of an answer that says that a person is waited for; nil: it does not.
func (u *undoing) waits(reply remediators.Reply) error {
	for _, b := range u.blocked {
		if slices.Contains(b.status, reply.Status) && b.predicate.holds(reply) {
			return &ledger.CallError{Class: ledger.CallDenied, Status: reply.Status, Detail: "answered " + itoa(reply.Status) + ": " + b.because}
		}
	}
	return nil
}

// holds reports whether the body of an answer shows what is asked for. No predicate asks for nothing.
func (p *predicate) holds(reply remediators.Reply) bool {
	if p == nil {
		return true
	}
	doc, why := remediators.Document(reply)
	got, ok := at(doc, p.pointer)
	return why == "" && ok && same(p.equals, got)
}
