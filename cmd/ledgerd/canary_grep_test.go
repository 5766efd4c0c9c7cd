package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// formsOf returns a value as it may stand in an artefact: as it is, escaped in JSON, URL-encoded, in hex, and in
// base64 wherever it stands in what was encoded.
func formsOf(value string) []string {
	b := []byte(value)
	out := []string{
		value, url.QueryEscape(value), url.PathEscape(value), url.QueryEscape(url.QueryEscape(value)),
		hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), reversed(value),
	}
	for _, escapeHTML := range []bool{true, false} {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(escapeHTML)
		_ = enc.Encode(value)
		inner := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(buf.String()), `"`), `"`)
		twice, _ := json.Marshal(inner)
		out = append(out, inner, string(twice[1:len(twice)-1]))
	}
	var ascii strings.Builder
	for _, r := range value {
		fmt.Fprintf(&ascii, `\u%04x`, r)
	}
	out = append(out, ascii.String())
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 { // what stands before it moves it by 0 to 2 bytes
			text := enc.EncodeToString(append(bytes.Repeat([]byte{'x'}, shift), b...))
			from, to := (8*shift+5)/6, len(text)
			if (shift+len(b))%3 != 0 {
				to-- // its last bits depend on what follows
			}
			out = append(out, text[from:to])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// An archive is everything that was said or written, by name.
type archive map[string][]byte

func (a archive) add(name string, content []byte) { a[name] = append(a[name], content...) }

// hits returns where a value stands, in whatever form.
func (a archive) hits(value string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		for _, form := range formsOf(value) {
			if bytes.Contains(a[name], []byte(form)) {
				out = append(out, fmt.Sprintf("%s (as %q)", name, form))
				break
			}
		}
	}
	return out
}

// The search finds a planted value in every form that it looks for, whatever stands around it.
func TestTheCanarySearchBites(t *testing.T) {
	value := `cänary "7f3a"&/x`
	for _, around := range []string{"", "a", "ab", "abc"} {
		text := around + value + around
		quoted, err := json.Marshal(map[string]string{"k": text})
		if err != nil {
			t.Fatal(err)
		}
		inside, err := json.Marshal(string(quoted))
		if err != nil {
			t.Fatal(err)
		}
		for name, planted := range map[string]string{
			"plain": text, "JSON": string(quoted), "JSON in JSON": string(inside), "query": url.QueryEscape(text), "path": url.PathEscape(text),
			"hex": hex.EncodeToString([]byte(text)), "base64": base64.StdEncoding.EncodeToString([]byte(text)),
			"base64 of a URL": base64.URLEncoding.EncodeToString([]byte(text)), "basic": base64.StdEncoding.EncodeToString([]byte("user:" + text)),
		} {
			if len(archive{"x": []byte("…" + planted + "…")}.hits(value)) != 1 {
				t.Errorf("%s between %q is not found", name, around)
			}
		}
	}
	if found := (archive{"x": []byte("cänary 7f3a")}).hits(value); len(found) != 0 {
		t.Errorf("found where it is not: %v", found)
	}
}
