// Package command is the remediator that runs a command for each look and each undo.
//
// Which commands there are stands in the server's configuration; an entry names one and gives it
// arguments as data. A command is started directly, never through a shell, with a fixed argv; one JSON
// document goes in on stdin and one comes back on stdout:
//
//	in:  {"op": "read" | "undo", "id", "system", "kind", "action", "resource", "before", "after", "args", "now", "validator"}
//	out: {"now": JSON or null, "validator": ""}                     for read; null: the resource is not there
//	out: {"result": "undone" | "already" | "conflict" | "retry" | "refused", "detail": ""}  for undo
//
// Members without a value are left out; now and validator come with undo only. Exit status:
//
//	0    the document says how it ended; without one an undo is taken as undone
//	10   already undone: there was nothing to do
//	11   conflict: the resource is not what it was seen to be; nothing was done
//	12   refused: this will never be done
//	75   try again later; nothing was done (EX_TEMPFAIL)
//
// Any other status, a broken document, and an end by signal or timeout leave the effect unknown: the
// look afterwards decides. stderr is never copied anywhere.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// How long a command may take: a restore of a snapshot takes hours, and a look is waited for.
const (
	longestUndo = 24 * time.Hour
	longestRead = time.Hour
)

// maxOutput is the most that a command may print, in bytes.
const maxOutput = 1 << 20

// Remediator runs the commands of one system. It is safe for concurrent use.
type Remediator struct {
	system   string
	commands map[string]remediators.CommandConfig
	lane     *remediators.Lane
	getenv   func(string) string
}

// Factory makes the remediator of a system with remediator: command. It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	switch {
	case b.Config.URL != "":
		return nil, remediators.Fieldf("url", "a command makes its own calls: leave it out")
	case b.Config.Profile != "":
		return nil, remediators.Fieldf("profile", "belongs to remediator: http")
	case len(b.Config.Commands) == 0:
		return nil, remediators.Fieldf("commands", "is missing: NAME: {argv: [...]}, what entries may run")
	}
	r := &Remediator{system: b.System.Name, commands: map[string]remediators.CommandConfig{}, lane: b.Lane, getenv: b.Getenv}
	for _, name := range slices.Sorted(maps.Keys(b.Config.Commands)) {
		c := b.Config.Commands[name]
		if err := validate(name, c); err != nil {
			return nil, err
		}
		if c.Timeout == 0 {
			c.Timeout = 30 * time.Second
		}
		if c.ReadTimeout == 0 {
			c.ReadTimeout = min(c.Timeout, longestRead)
		}
		if c.MemoryMiB == 0 {
			c.MemoryMiB = 512
		}
		r.commands[name] = c
	}
	return r, nil
}

func validate(name string, c remediators.CommandConfig) error {
	field := "commands." + name
	if len(c.Argv) == 0 || !runnable(c.Argv[0]) {
		return remediators.Fieldf(field+".argv", "begins with a command: an absolute path, or a name to be found in PATH")
	}
	if len(c.Read) > 0 && !runnable(c.Read[0]) {
		return remediators.Fieldf(field+".read", "begins with a command: an absolute path, or a name to be found in PATH")
	}
	if slices.ContainsFunc(slices.Concat(c.Argv, c.Read), func(arg string) bool { return strings.ContainsRune(arg, 0) }) {
		return remediators.Fieldf(field+".argv", "has a NUL character")
	}
	if slices.ContainsFunc(c.Env, func(v string) bool { return v == "" || strings.ContainsAny(v, "=\x00") }) {
		return remediators.Fieldf(field+".env", "is a list of names of variables, without values")
	}
	if c.MemoryMiB < 0 {
		return remediators.Fieldf(field+".memory_mib", "is at least 1; leave it out for 512")
	}
	return validateTimes(field, c)
}

func validateTimes(field string, c remediators.CommandConfig) error {
	if c.Timeout < 0 || c.Timeout > longestUndo {
		return remediators.Fieldf(field+".timeout", "is at most 24h; leave it out for 30s")
	}
	if c.ReadTimeout < 0 || c.ReadTimeout > longestRead {
		return remediators.Fieldf(field+".read_timeout", "is at most 1h; leave it out for the timeout")
	}
	return nil
}

// runnable refuses what depends on the directory that the server was started in.
func runnable(s string) bool {
	return s != "" && (strings.HasPrefix(s, "/") || !strings.ContainsAny(s, "/\\"))
}

// recipe is what an entry's undo says.
type recipe struct {
	name string
	args json.RawMessage
}

func (r *Remediator) parse(raw json.RawMessage) (recipe, remediators.CommandConfig, error) {
	var (
		out     recipe
		members map[string]json.RawMessage
		none    remediators.CommandConfig
	)
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return out, none, ledger.Invalid("/undo", "has to be an object with command and, where it takes any, args")
	}
	for name := range members {
		if name != "command" && name != "args" {
			field := "/undo/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			return out, none, ledger.Invalid(field, "is not known here; known are args, command")
		}
	}
	if json.Unmarshal(members["command"], &out.name) != nil || out.name == "" {
		return out, none, ledger.Invalid("/undo/command", "is missing: the name of a command of this system")
	}
	c, ok := r.commands[out.name]
	if !ok {
		return out, none, ledger.Invalid("/undo/command", "is not in this system's commands; there are: %s", strings.Join(slices.Sorted(maps.Keys(r.commands)), ", "))
	}
	if args := members["args"]; len(args) > 0 && string(args) != "null" {
		if args[0] != '{' {
			return out, none, ledger.Invalid("/undo/args", "has to be an object")
		}
		out.args = args
	}
	return out, c, nil
}

// Kinds implements [ledger.Remediator]: any.
func (r *Remediator) Kinds() []string { return []string{""} }

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	for field, raw := range map[string]json.RawMessage{"/read": d.Read, "/guard": d.Guard, "/async": d.Async} {
		if len(raw) > 0 && string(raw) != "null" {
			return ledger.Grading{}, ledger.Invalid(field, "has no meaning for a command; leave it out")
		}
	}
	if _, err := verify(d.Verify); err != nil {
		return ledger.Grading{}, err
	}
	if len(d.Undo) == 0 || string(d.Undo) == "null" {
		return ledger.Grading{Reversible: ledger.ReversibleNone, Warnings: []string{"nothing takes this back: there is no undo"}}, nil
	}
	_, c, err := r.parse(d.Undo)
	if err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{Reversible: ledger.ReversibleExact, CanLook: len(c.Read) > 0}
	if !g.CanLook {
		g.Warnings = []string{"it cannot be read back: the command has no read; an undo can be accepted, never verified"}
	}
	return g, nil
}

// patient is the entry field verify.
type patient struct{ timeout, stable time.Duration }

func verify(raw json.RawMessage) (patient, error) {
	var (
		p       patient
		members map[string]string
	)
	if len(raw) == 0 || string(raw) == "null" {
		return p, nil
	}
	if json.Unmarshal(raw, &members) != nil {
		return p, ledger.Invalid("/verify", "has to be an object of durations: timeout, stable_for")
	}
	for name, v := range members {
		d, err := time.ParseDuration(v)
		switch {
		case name != "timeout" && name != "stable_for":
			return p, ledger.Invalid("/verify/"+name, "is not known here; known are stable_for, timeout")
		case err != nil || d <= 0 || d > 10*time.Minute:
			return p, ledger.Invalid("/verify/"+name, "has to be a duration like \"30s\", above zero and at most 10m")
		case name == "timeout":
			p.timeout = d
		default:
			p.stable = d
		}
	}
	return p, nil
}

// Look implements [ledger.Remediator].
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	if len(e.Undo) == 0 || string(e.Undo) == "null" {
		return ledger.Look{}, nil
	}
	rec, c, err := r.parse(e.Undo)
	if err != nil { // not among the commands any more: what it would be read with is not known either
		return ledger.Look{}, &ledger.CallError{Class: ledger.CallDenied, Detail: detailOf(err), Err: err}
	}
	if len(c.Read) == 0 {
		return ledger.Look{}, nil
	}
	out, err := r.run(ctx, c, c.Read, input("read", e, rec, ledger.Look{}), false)
	if err != nil {
		return ledger.Look{}, err
	}
	var doc struct {
		Now       json.RawMessage `json:"now"`
		Validator string          `json:"validator"`
	}
	if out.status != 0 || strict(out.stdout, &doc) != nil || doc.Now == nil {
		return ledger.Look{}, &ledger.CallError{Class: ledger.CallAnswered, Detail: "the read command failed, or printed no document with now"}
	}
	p, err := verify(e.Verify)
	if err != nil {
		return ledger.Look{}, &ledger.CallError{Class: ledger.CallDenied, Detail: "its verify cannot be read", Err: err}
	}
	now := ledger.Image{JSON: compact(doc.Now)}
	return ledger.Look{
		Known: true, Now: now, Proven: now.IsAbsent(), Validator: doc.Validator, Patience: p.timeout, Stable: p.stable,
		Scope: ledger.Scope{Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: e.Unordered},
	}, nil
}

// Preview implements [ledger.Remediator]. The summary is the argv that would be run.
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	rec, c, err := r.parse(e.Undo)
	if err != nil {
		return ledger.Request{}, &ledger.CallError{Class: ledger.CallDenied, Detail: detailOf(err), Err: err}
	}
	if err := masked(e, rec); err != nil {
		return ledger.Request{}, err
	}
	return ledger.Request{Summary: "run " + strings.Join(c.Argv, " "), Body: input("undo", e, rec, seen), Repeatable: c.Repeatable}, nil
}

// masked refuses to hand a mask to a command as what it has to write: it would write it. The error is a
// [ledger.CallError] of class CallDenied that names the place.
func masked(e *ledger.Entry, rec recipe) error {
	where, found := remediators.FindMask(e.Before.JSON, "/before")
	if !found {
		where, found = remediators.FindMask(rec.args, "/undo/args")
	}
	if !found {
		return nil
	}
	return &ledger.CallError{Class: ledger.CallDenied, Detail: "secret_missing: " + where}
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	rec, c, err := r.parse(e.Undo)
	if err != nil {
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallDenied, Detail: detailOf(err), Err: err}
	}
	if err := masked(e, rec); err != nil {
		return ledger.Answer{}, err
	}
	out, err := r.run(ctx, c, c.Argv, input("undo", e, rec, seen), true)
	if err != nil {
		return ledger.Answer{}, err
	}
	return out.answer(), nil
}

// detailOf is the message of a [ledger.Error], which names the fix.
func detailOf(err error) string {
	var e *ledger.Error
	if errors.As(err, &e) {
		return e.Field + " " + e.Msg
	}
	return "its undo cannot be read"
}
