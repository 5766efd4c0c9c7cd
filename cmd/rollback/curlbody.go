package main

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"sideledger/api/wire"
)

// A carried is a call of curl as the ledger makes it.
type carried struct {
	call    wire.EffectCall
	dropped []string // headers and options that the system's own credential takes the place of
	sent    int      // bytes of the body
}

// carry reads what the line says of the call: files and stdin too.
func (l *curlLine) carry(place *curlPlace, stdin io.Reader) (*carried, error) {
	c := &carried{call: wire.EffectCall{Method: l.verb(), Path: place.path, Headers: map[string]string{"Accept": "*/*"}}}
	body, err := l.body(c, stdin)
	if err != nil {
		return nil, err
	}
	if body != nil {
		putBody(&c.call, body)
		c.sent = len(body)
	}
	for _, name := range []string{"user", "oauth2-bearer"} {
		if l.set[name] {
			c.dropped = append(c.dropped, "--"+name)
		}
	}
	for _, h := range l.headers {
		if err := c.header(h); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (l *curlLine) body(c *carried, stdin io.Reader) ([]byte, error) {
	if name := l.values["upload-file"]; l.set["upload-file"] {
		if path, query, _ := strings.Cut(c.call.Path, "?"); strings.HasSuffix(path, "/") { // curl adds the file's name
			c.call.Path = path + url.PathEscape(filepath.Base(name))
			if query != "" {
				c.call.Path += "?" + query
			}
		}
		return readWhole(name)
	}
	if len(l.data) == 0 {
		return nil, nil
	}
	c.call.Headers["Content-Type"] = "application/x-www-form-urlencoded"
	out := []byte{}
	for i, piece := range l.data {
		raw, err := piece.read(stdin)
		if err != nil {
			return nil, err
		}
		if piece.option == "json" {
			c.call.Headers["Content-Type"], c.call.Headers["Accept"] = "application/json", "application/json"
		} else if i > 0 {
			out = append(out, '&')
		}
		out = append(out, raw...)
	}
	if l.set["get"] { // with a method of its own: -G -X DELETE
		return nil, l.intoQuery(c, out)
	}
	return out, nil
}

func (l *curlLine) intoQuery(c *carried, data []byte) error {
	delete(c.call.Headers, "Content-Type")
	separator := "?"
	if strings.Contains(c.call.Path, "?") {
		separator = "&"
	}
	c.call.Path += separator + string(data)
	return nil
}

// read returns the text of one piece of a body.
func (p curlPiece) read(stdin io.Reader) ([]byte, error) {
	switch name, file := strings.CutPrefix(p.value, "@"); {
	case p.option == "data-urlencode":
		return p.encoded(stdin)
	case p.option == "data-raw" || !file:
		return []byte(p.value), nil
	default:
		raw, err := readNamed(name, stdin)
		if p.option == "data" || p.option == "data-ascii" { // curl takes a file for text of one line
			raw = slices.DeleteFunc(raw, func(b byte) bool { return b == '\r' || b == '\n' || b == 0 })
		}
		return raw, err
	}
}

// encoded reads CONTENT, =CONTENT, NAME=CONTENT, @FILE and NAME@FILE.
func (p curlPiece) encoded(stdin io.Reader) ([]byte, error) {
	name, content := "", []byte(p.value)
	if i := strings.IndexAny(p.value, "=@"); i >= 0 {
		name, content = p.value[:i], []byte(p.value[i+1:])
		if p.value[i] == '@' {
			var err error
			if content, err = readNamed(p.value[i+1:], stdin); err != nil {
				return nil, err
			}
		}
	}
	if name != "" {
		name += "="
	}
	return append([]byte(name), escaped(content)...), nil
}

// escaped is what curl makes of text: all but unreserved characters (RFC 3986) as %XX, and a space as a plus sign.
func escaped(b []byte) []byte {
	var out []byte
	for _, c := range b {
		if c == ' ' {
			out = append(out, '+')
			continue
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out = append(out, c)
			continue
		}
		out = fmt.Appendf(out, "%%%02X", c)
	}
	return out
}

func readNamed(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return readAll(stdin)
	}
	return readWhole(name)
}

// header takes in one -H: "NAME: VALUE" sets, "NAME:" takes curl's own away, "NAME;" sets an empty one, "@FILE" reads
// lines of these.
func (c *carried) header(h string) error {
	if name, file := strings.CutPrefix(h, "@"); file {
		raw, err := readWhole(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(raw)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				if err := c.header(line); err != nil {
					return err
				}
			}
		}
		return nil
	}
	name, value, colon := strings.Cut(h, ":")
	empty := false
	if !colon {
		name, empty = strings.CutSuffix(strings.TrimSpace(h), ";")
		if !empty {
			return nil // curl leaves such a line out
		}
	}
	name, value = canonicalHeader(name), strings.TrimSpace(value)
	switch {
	case name == "Authorization":
		c.dropped = append(c.dropped, name)
	case name == "User-Agent": // it says who calls, and that is the ledger
	case value == "" && !empty:
		delete(c.call.Headers, name)
	default:
		c.call.Headers[name] = value
	}
	return nil
}
