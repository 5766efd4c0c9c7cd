package api

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sideledger/ledger"
)

// A query holds the parameters of a request, checked against the document.
type query struct{ url.Values }

// parseQuery refuses parameters that the call does not have: a misspelled filter must not widen a list.
func parseQuery(raw string, op *operation) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, &ledger.Error{Code: ledger.CodeMalformed, Op: "read query", Msg: "the query cannot be read"}
	}
	for name, list := range values {
		p := op.query[name]
		if p == nil {
			return query{}, unknownMember("/" + name)
		}
		if err := p.check(name, list); err != nil {
			return query{}, err
		}
	}
	return query{values}, nil
}

func (p *param) check(name string, list []string) error {
	one := p.schema
	if one.kind == "array" {
		if err := invalid(name, one.faultOfLength(len(list), "values")); err != nil {
			return err
		}
		one = one.items
	} else if len(list) > 1 {
		return ledger.Invalid(name, "is given more than once")
	}
	for _, text := range list {
		if strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text {
			return ledger.Invalid(name, "has a NUL byte or is not UTF-8")
		}
		if err := one.checkText(name, text); err != nil {
			return err
		}
	}
	return nil
}

// defaultLimit is how many items a page has where the caller does not say.
const defaultLimit = 100

func (q query) limit() int {
	if n, err := strconv.Atoi(q.Get("limit")); err == nil {
		return n
	}
	return defaultLimit
}

// windowCursor returns the id that a page of windows goes on after; zero: it is the first.
func (q query) windowCursor() (uuid.UUID, error) {
	text, err := q.cursor("w")
	if err != nil || text == "" {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, errCursor()
	}
	return id, nil
}

// entryCursor returns the number that a page of entries goes on after; 0: it is the first. A cursor
// belongs to the order that it was made in.
func (q query) entryCursor(desc bool) (int, error) {
	text, err := q.cursor(orderMark(desc))
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errCursor()
	}
	return n, nil
}

func orderMark(desc bool) string {
	if desc {
		return "d"
	}
	return "a"
}

func (q query) cursor(mark string) (string, error) {
	text := q.Get("cursor")
	if text == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	rest, ok := strings.CutPrefix(string(raw), mark)
	if err != nil || !ok || rest == "" {
		return "", errCursor()
	}
	return rest, nil
}

func errCursor() error { return ledger.Invalid("cursor", "is not one that this list gave out") }

// newCursor makes a cursor.
func newCursor(mark, text string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(mark + text))
}

// next returns the header that names the next page (RFC 8288), or nothing.
func (q query) next(path, cursor string) map[string]string {
	if cursor == "" {
		return nil
	}
	v := url.Values{}
	for name, list := range q.Values {
		v[name] = list
	}
	v.Set("cursor", cursor)
	return map[string]string{"Link": fmt.Sprintf(`<%s?%s>; rel="next"`, path, v.Encode())}
}

// terms reads a selection's terms.
func (q query) terms() (ledger.Selection, error) {
	var s ledger.Selection
	for name, list := range map[string]*[]ledger.Term{"only": &s.Only, "exclude": &s.Exclude} {
		for _, text := range q.Values[name] {
			t, err := ledger.ParseTerm(name, text)
			if err != nil {
				return ledger.Selection{}, err
			}
			*list = append(*list, t)
		}
	}
	return s, nil
}

// maxWait is the longest that a caller may make the server wait for it.
const maxWait = 10 * time.Minute

// preferredWait reads Prefer: wait=N (RFC 7240, section 4.3). What it does not understand it ignores, as
// the RFC says.
func preferredWait(values []string) time.Duration {
	for _, value := range values {
		for pref := range strings.SplitSeq(value, ",") {
			pref, _, _ = strings.Cut(pref, ";")
			name, n, _ := strings.Cut(pref, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			if s, err := strconv.Atoi(strings.Trim(strings.TrimSpace(n), `"`)); err == nil && s > 0 {
				return time.Duration(min(s, int(maxWait/time.Second))) * time.Second
			}
		}
	}
	return 0
}
