package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"sideledger/api/wire"
)

// quote makes one word of a POSIX shell out of any text without control characters.
func quote(s string) string {
	if s != "" && plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

var (
	plainWord    = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	headerToken  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

// A shellPlan writes the requests of a plan as curl lines, newest entry first. The script stops at the
// first request that fails, so that nothing overtakes what it depends on.
type shellPlan struct {
	w         io.Writer
	variables map[string]bool // asked for so far
	requests  int
	err       error
}

func newShellPlan(w io.Writer, window string) (*shellPlan, error) {
	p := &shellPlan{w: w, variables: map[string]bool{}}
	if _, err := uuid.Parse(window); err != nil {
		return nil, fmt.Errorf("the id of the window is not one: %w", err)
	}
	p.printf("#!/bin/sh\n# What a rollback of window %s would send, newest entry first.\n"+
		"# Read it before you run it: nothing looks at the third parties in between.\nset -eu\n", window)
	return p, p.err
}

func (p *shellPlan) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
		p.err = wrapWrite(p.err)
	}
}

func (p *shellPlan) step(s *wire.PlanStep) error {
	p.printf("\n# %d %s  %s %s %s: %s\n", s.Seq, verdictWord(s.Verdict), clean(s.System), clean(s.Kind), describe(s.Resource), clean(s.Detail))
	r := s.Request
	if r == nil {
		return p.err
	}
	if r.Method == "" || s.Verdict != "undo" {
		if r.Summary != "" {
			p.printf("# by hand: %s\n", clean(r.Summary))
		}
		return p.err
	}
	line, problem := p.curl(r)
	switch {
	case hidesSecret(line):
		problem = "it has secret values in it, which are not shown"
	case binary(r):
		problem = "its body is bytes, which the plan shows in base64"
	}
	if problem != "" {
		p.printf("# not printed as a command: %s\necho 'entry %d has to be sent by other means' >&2; exit 1\n", problem, s.Seq)
		return p.err
	}
	if !r.Repeatable {
		p.printf("# send it once only\n")
	}
	p.requests++
	p.printf("%s\n", line)
	return p.err
}

// hidesSecret reports whether a fingerprint, or the name of a secret of the server's, stands in a command line in the
// place of a value.
func hidesSecret(line string) bool {
	return strings.Contains(line, "$secret:reference:") || strings.Contains(line, "%24secret%3Areference%3A") ||
		strings.Contains(line, "$secret:hmac:") || strings.Contains(line, `{"$secret":"hmac:`) || strings.Contains(line, "%24secret%3Ahmac%3A")
}

// curl returns the command line of a request, or why there is none.
func (p *shellPlan) curl(r *wire.PlanRequest) (line, problem string) {
	words := []string{"curl", "-fsS", "--globoff", "-X", quote(r.Method)}
	if !headerToken.MatchString(r.Method) || strings.HasPrefix(r.Method, "-") {
		return "", "its method is not one"
	}
	for _, name := range sortedKeys(r.Headers) {
		if !headerToken.MatchString(name) {
			return "", "a header's name is not one"
		}
		value := name + ": " + r.Headers[name]
		if r.Headers[name] == "" {
			value = name + ";" // how curl is told to send an empty header
		}
		words = append(words, "-H", quote(value))
	}
	for _, c := range slots(r) {
		if !variableName.MatchString(c.Variable) || !headerToken.MatchString(c.Header) {
			return "", "its credential cannot be written as a variable"
		}
		if !p.variables[c.Variable] {
			p.variables[c.Variable] = true
			p.printf(": \"${%s:?put the credential of this system into it}\"\n", c.Variable)
		}
		words = append(words, "-H", `'`+strings.ReplaceAll(c.Header+": "+c.Prefix, "'", `'\''`)+`'"$`+c.Variable+`"`)
	}
	if r.Body != nil {
		words = append(words, "--data-raw", quote(asSent(r)))
	}
	words = append(words, "--url", quote(r.URL))
	line = strings.Join(words, " ")
	if strings.ContainsFunc(line, unicode.IsControl) {
		return "", "it has control characters"
	}
	return line, ""
}

// binary reports whether a body is shown in base64.
func binary(r *wire.PlanRequest) bool {
	return r.Body != nil && strings.HasPrefix(strings.ToLower(r.Headers["Content-Type"]), "application/octet-stream")
}

// asSent is the body of a request as it is sent: what is not JSON comes as a JSON string.
func asSent(r *wire.PlanRequest) string {
	for name, kind := range r.Headers {
		var text string
		if strings.EqualFold(name, "Content-Type") && !strings.Contains(kind, "json") && json.Unmarshal(r.Body, &text) == nil {
			return text
		}
	}
	return string(r.Body)
}

func (p *shellPlan) end(*wire.Plan) error {
	p.printf("\n# end of the plan: %d requests\n", p.requests)
	return p.err
}

// slots are the places of all credentials of a request.
func slots(r *wire.PlanRequest) []wire.CredentialSlot {
	if r.Credential == nil {
		return nil
	}
	return append([]wire.CredentialSlot{*r.Credential}, r.More...)
}
