package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sideledger/api/wire"
)

// A curlResult is what -w tells of.
type curlResult struct {
	line    *curlLine
	place   *curlPlace
	call    *carried
	effect  *wire.Effect
	written int // bytes of the body
	file    string
	took    time.Duration
	status  int // exit status
	message string
}

// writeOutVariables are the variables of -w that a call through the ledger can tell.
var writeOutVariables = map[string]func(r *curlResult) string{
	"http_code": (*curlResult).code, "response_code": (*curlResult).code,
	"content_type":       func(r *curlResult) string { return r.header("Content-Type") },
	"exitcode":           func(r *curlResult) string { return strconv.Itoa(r.status) },
	"errormsg":           func(r *curlResult) string { return r.message },
	"filename_effective": func(r *curlResult) string { return r.file },
	"http_version":       func(*curlResult) string { return "1.1" },
	"method":             func(r *curlResult) string { return r.call.call.Method },
	"num_redirects":      func(*curlResult) string { return "0" },
	"redirect_url":       func(r *curlResult) string { return r.header("Location") },
	"size_download":      func(r *curlResult) string { return strconv.Itoa(r.written) },
	"size_upload":        func(r *curlResult) string { return strconv.Itoa(r.call.sent) },
	"time_total":         func(r *curlResult) string { return fmt.Sprintf("%.6f", r.took.Seconds()) },
	"url":                func(r *curlResult) string { return r.place.whole },
	"url_effective":      func(r *curlResult) string { return r.place.whole },
}

func (r *curlResult) code() string {
	if r.effect == nil || r.effect.Answer == nil {
		return "000"
	}
	return fmt.Sprintf("%03d", r.effect.Answer.Status)
}

func (r *curlResult) header(name string) string {
	if r.effect == nil || r.effect.Answer == nil {
		return ""
	}
	return r.effect.Answer.Headers[name]
}

// A writeOut is a format of -w: texts and variables by turns.
type writeOut []func(r *curlResult) string

// readWriteOut reads a format; an error names what a call through the ledger cannot tell.
func readWriteOut(format string) (writeOut, error) {
	if name, file := strings.CutPrefix(format, "@"); file {
		if name == "-" {
			return nil, errors.New("its format stands on stdin")
		}
		raw, err := readWhole(name)
		if err != nil {
			return nil, err
		}
		format = string(raw)
	}
	var out writeOut
	text := func(s string) { out = append(out, func(*curlResult) string { return s }) }
	for format != "" {
		i := strings.IndexAny(format, `%\`)
		if i < 0 || i+1 == len(format) {
			text(format)
			break
		}
		text(format[:i])
		rest := format[i:]
		switch name, after, closed := strings.Cut(strings.TrimPrefix(rest, "%{"), "}"); {
		case strings.HasPrefix(rest, "%{") && closed:
			variable := writeOutVariables[name]
			if variable == nil {
				return nil, fmt.Errorf("it has %%{%s}", name)
			}
			out, format = append(out, variable), after
		case rest[:2] == "%%":
			text("%")
			format = rest[2:]
		default:
			n, s := escapeOf(rest)
			text(s)
			format = rest[n:]
		}
	}
	return out, nil
}

// escapeOf reads what begins with a backslash, or a percent sign that begins nothing.
func escapeOf(s string) (n int, text string) {
	if i := slices.Index([]string{`\n`, `\r`, `\t`}, s[:2]); i >= 0 {
		return 2, "\n\r\t"[i : i+1]
	}
	return 1, s[:1]
}

func (w writeOut) write(out io.Writer, r *curlResult) error {
	var b bytes.Buffer
	for _, f := range w {
		b.WriteString(f(r))
	}
	_, err := out.Write(b.Bytes())
	return err
}

// block is the answer's head as curl shows it, with the headers that the ledger passes on.
func block(a *wire.EffectAnswer) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.Status, http.StatusText(a.Status))
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, a.Headers[name])
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// outputName is the file that the body goes to; "": stdout.
func (l *curlLine) outputName(place *curlPlace) (string, error) {
	name := l.values["output"]
	if l.set["remote-name"] && name == "" {
		p, _, _ := strings.Cut(place.path, "?")
		if name = path.Base(p); name == "/" || strings.HasSuffix(p, "/") {
			return "", errors.New("remote file name has no length")
		}
	}
	if name == "-" || name == "" {
		return "", nil
	}
	if dir := l.values["output-dir"]; dir != "" {
		name = filepath.Join(dir, name)
	}
	return name, nil
}

// deliver writes head and body to where the line says.
func (r *curlResult) deliver(stdout io.Writer) error {
	l, a := r.line, r.effect.Answer
	if name := l.values["dump-header"]; name != "" {
		if err := r.writeTo(name, block(a), stdout); err != nil {
			return err
		}
	}
	if a.Status >= 400 && l.set["fail"] && !l.set["fail-with-body"] {
		return nil
	}
	body := bodyOf(a)
	r.written = len(body)
	if l.set["include"] {
		body = append(block(a), body...)
	}
	name := r.file
	if name == "" {
		name = "-"
	}
	return r.writeTo(name, body, stdout)
}

func (r *curlResult) writeTo(name string, b []byte, stdout io.Writer) error {
	if name == "-" {
		_, err := stdout.Write(b)
		return err
	}
	if dir := filepath.Dir(name); r.line.set["create-dirs"] {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	return os.WriteFile(name, b, 0o644) //nolint:gosec // as curl does
}
