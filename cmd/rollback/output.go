package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sideledger/api/client"
)

// The formats of -o.
const (
	formatText  = "text"
	formatJSON  = "json"
	formatLines = "jsonl"
	formatName  = "name"
	formatShell = "shell" // plan only
)

// A view is one answer in all formats.
type view struct {
	value any      // json: one document
	lines []any    // jsonl: one a line; nil: value alone
	names []string // name: ids, one a line
	text  func(*page)
}

// show writes a view to stdout in the format that was asked for.
func (a *app) show(v view) error {
	switch a.output {
	case formatJSON:
		return a.showJSON(v.value)
	case formatLines:
		lines := v.lines
		if lines == nil {
			lines = []any{v.value}
		}
		for _, l := range lines {
			if err := a.showLine(l); err != nil {
				return err
			}
		}
		return nil
	case formatName:
		for _, n := range v.names {
			if _, err := fmt.Fprintln(a.stdout, clean(n)); err != nil {
				return fmt.Errorf("write to stdout: %w", err)
			}
		}
		return nil
	default:
		p := a.page(a.stdout)
		v.text(p)
		return wrapWrite(p.err)
	}
}

// showJSON writes one indented document. Literals of third parties stay as they are.
func (a *app) showJSON(value any) error {
	raw, err := client.Encode(value)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return fmt.Errorf("indent the answer: %w", err)
	}
	b.WriteByte('\n')
	_, err = a.stdout.Write(b.Bytes())
	return wrapWrite(err)
}

// showLine writes one document on one line.
func (a *app) showLine(value any) error {
	raw, err := client.Encode(value)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	_, err = a.stdout.Write(append(raw, '\n'))
	return wrapWrite(err)
}

func wrapWrite(err error) error {
	if err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}
