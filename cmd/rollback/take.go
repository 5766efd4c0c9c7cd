package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// maxTaken is how much of a command's output is kept for --take.
const maxTaken = 1 << 20

// A take is one value out of a command's JSON output.
type take struct {
	text  string   // as it was typed
	into  string   // resource or after
	path  []string // member names below it; none: all of it
	whole bool     // the expression is the document itself: its bytes are taken as they are
	query *gojq.Code
}

// readTakes parses --take flags.
func readTakes(flags []string, command bool) ([]take, error) {
	if len(flags) > 0 && !command {
		return nil, errors.New("--take goes with a command, whose output it reads")
	}
	var out []take
	for _, text := range flags {
		target, expression, ok := strings.Cut(text, "=")
		if !ok || expression == "" {
			return nil, fmt.Errorf("--take wants MEMBER=EXPRESSION such as resource.id=.id, not %q", text)
		}
		names := strings.Split(target, ".")
		for _, n := range names {
			if n == "" {
				return nil, fmt.Errorf("--take %s: a name is empty", text)
			}
		}
		if names[0] != "resource" && names[0] != "after" {
			return nil, fmt.Errorf("--take %s: only resource, after, and members below them can be taken", text)
		}
		query, err := gojq.Parse(expression)
		if err != nil {
			return nil, fmt.Errorf("--take %s: %w", text, err)
		}
		// No environment and no modules: an expression sees the command's output and nothing else.
		code, err := gojq.Compile(query, gojq.WithEnvironLoader(func() []string { return nil }))
		if err != nil {
			return nil, fmt.Errorf("--take %s: %w", text, err)
		}
		out = append(out, take{text: text, into: names[0], path: names[1:], whole: expression == ".", query: code})
	}
	return out, nil
}

// A tee passes a command's output on unchanged and keeps a copy of its beginning.
type tee struct {
	out  io.Writer
	kept bytes.Buffer
	more bool // the output was longer than what is kept
}

// Write passes p on. An error of the stream that it goes to is returned, so that the command meets it as
// it would without us.
func (t *tee) Write(p []byte) (int, error) {
	room := maxTaken - t.kept.Len()
	t.kept.Write(p[:min(room, len(p))])
	t.more = t.more || len(p) > room
	return t.out.Write(p)
}

// takeAll reads what was taken into the report on an entry. What cannot be taken is left out of it and
// returned as an error beside it: the effect is there all the same.
func takeAll(ctx context.Context, takes []take, output *tee, d *wire.EntryDraft) (wire.AppliedRequest, error) {
	var r wire.AppliedRequest
	if len(takes) == 0 {
		return r, nil
	}
	if output.more {
		return r, fmt.Errorf("nothing was taken: the command's output is longer than %d bytes", maxTaken)
	}
	var input any
	dec := json.NewDecoder(bytes.NewReader(output.kept.Bytes()))
	dec.UseNumber()
	if err := dec.Decode(&input); err != nil {
		return r, fmt.Errorf("nothing was taken: the command's output does not begin with a JSON document: %w", err)
	}
	var problems []error
	for _, t := range takes {
		value, err := t.value(ctx, input, output.kept.Bytes())
		if err == nil {
			err = t.put(value, d, &r)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("--take %s: %w", t.text, err))
		}
	}
	return r, errors.Join(problems...)
}

// takeTime limits how long an expression may run: one that has no end must not keep a report back.
const takeTime = 10 * time.Second

// value runs the expression; its first result counts.
func (t *take) value(ctx context.Context, input any, raw []byte) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	v, ok := t.query.RunWithContext(ctx, input).Next()
	if !ok {
		return nil, errors.New("it yields nothing")
	}
	if err, failed := v.(error); failed {
		return nil, err
	}
	if v == nil && t.into == "resource" {
		return nil, errors.New("it yields null")
	}
	if t.whole {
		var whole json.RawMessage
		if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&whole); err != nil {
			return nil, err
		}
		return compact(whole)
	}
	return encodeTaken(v)
}

func compact(raw json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encodeTaken writes a value of gojq as JSON; numbers keep their literals.
func encodeTaken(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case float64, *big.Int, int, string, bool, nil, []any, map[string]any, json.Number:
		return client.Encode(v)
	default:
		return nil, fmt.Errorf("it yields a %T", v)
	}
}

// put writes a taken value into the report: into the resource as the entry names it, or into the
// after-image.
func (t *take) put(value json.RawMessage, d *wire.EntryDraft, r *wire.AppliedRequest) error {
	target, base := &r.Resource, d.Resource
	if t.into == "after" {
		target, base = &r.After, d.After
	}
	if *target != nil {
		base = *target
	}
	if len(t.path) == 0 && t.into == "resource" {
		merged, err := mergeObjects(base, value)
		if err != nil {
			return err
		}
		*target = merged
		return nil
	}
	out, err := setAt(base, t.path, value)
	if err != nil {
		return err
	}
	*target = out
	return nil
}
