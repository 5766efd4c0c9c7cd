package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// clean makes a text from elsewhere safe to show on one line of a terminal: control characters, line
// ends, and characters that reorder what stands beside them are replaced.
func clean(s string) string {
	if !needsCleaning(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case hostile(r):
			return utf8.RuneError
		default:
			return r
		}
	}, s)
}

func needsCleaning(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, hostile)
}

// hostile reports whether a character steers a terminal instead of being shown.
func hostile(r rune) bool {
	return unicode.IsControl(r) || // C0, DEL, C1
		unicode.Is(unicode.Cf, r) || // bidirectional and zero-width format characters
		r == '\u2028' || r == '\u2029' ||
		unicode.Is(unicode.Co, r)
}

// cleanLines is clean for texts of our own that may have several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// short cuts a text to at most n characters.
func short(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// pad fills a text up to n characters.
func pad(s string, n int) string {
	if missing := n - utf8.RuneCountInString(s); missing > 0 {
		return s + strings.Repeat(" ", missing)
	}
	return s
}

// describe shows a resource on one line: the members of a flat object as name=value, anything else as
// the JSON that it is.
func describe(resource json.RawMessage) string {
	if len(resource) == 0 || string(resource) == "null" {
		return "(resource not known yet)"
	}
	members, err := membersOf(resource)
	if err != nil {
		return clean(string(resource))
	}
	parts := make([]string, 0, len(members))
	for _, m := range members {
		value := string(m.value)
		var s string
		if json.Unmarshal(m.value, &s) == nil {
			value = s
		}
		parts = append(parts, m.name+"="+value)
	}
	return clean(strings.Join(parts, " "))
}

// A member is one name and value of a JSON object; value is kept byte for byte.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf returns the members of a JSON object in their order.
func membersOf(raw json.RawMessage) ([]member, error) {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("want a JSON object")
	}
	var out []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read a JSON object: %w", err)
		}
		var m member
		m.name, _ = name.(string)
		if err := dec.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("read a JSON object: %w", err)
		}
		out = append(out, m)
	}
	return out, nil
}

// ago shows a time in UTC and how long ago that is.
func (a *app) ago(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04:05Z") + " (" + humanize.RelTime(t, a.now(), "ago", "from now") + ")"
}

// A tint is a colour. Colour never says anything that the words beside it do not.
type tint string

const (
	tintNone   tint = ""
	tintGood   tint = "32"
	tintChange tint = "36"
	tintWarn   tint = "33"
	tintBad    tint = "31"
	tintDim    tint = "2"
	tintBold   tint = "1"
)

// colors reports whether a stream is to be coloured: https://no-color.org and CLICOLOR_FORCE.
func (a *app) colors(stream io.Writer) bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	switch {
	case a.getenv("NO_COLOR") != "", a.getenv("TERM") == "dumb":
		return false
	case a.getenv("CLICOLOR_FORCE") != "" && a.getenv("CLICOLOR_FORCE") != "0":
		return true
	default:
		return terminal(stream)
	}
}

// A page writes text for people onto one stream.
type page struct {
	w     io.Writer
	color bool
	err   error // the first that writing met
}

func (a *app) page(w io.Writer) *page { return &page{w: w, color: a.colors(w)} }

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *page) paint(t tint, s string) string {
	if !p.color || t == tintNone || s == "" {
		return s
	}
	return "\x1b[" + string(t) + "m" + s + "\x1b[0m"
}

// A cell is one field of a table.
type cell struct {
	text string
	tint tint
}

// table writes rows in columns; the last column is not padded.
func (p *page) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		parts := make([]string, 0, len(row))
		for i, c := range row {
			text := c.text
			if i < len(row)-1 {
				text = pad(text, widths[i])
			}
			parts = append(parts, p.paint(c.tint, text))
		}
		p.printf("%s\n", strings.TrimRight(strings.Join(parts, "  "), " "))
	}
}

// header is a row of column titles.
func header(titles ...string) []cell {
	out := make([]cell, 0, len(titles))
	for _, t := range titles {
		out = append(out, cell{t, tintDim})
	}
	return out
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
