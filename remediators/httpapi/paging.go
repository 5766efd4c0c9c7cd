package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sideledger/remediators"
)

// A paging says how the next page of a list is asked for, where no Link header says it (RFC 8288).
type paging struct {
	Next   string            `yaml:"next"`   // pointer to the address of the next page; null, or nothing there: there is none
	Token  map[string]string `yaml:"token"`  // parameter of the next page → pointer in the answer; nothing there, null or "": there is none
	After  map[string]string `yaml:"after"`  // parameter of the next page → pointer in the last element; goes with more
	Offset string            `yaml:"offset"` // parameter that says how many come before the page; goes with more
	Most   int               `yaml:"most"`   // a page with as many may be cut off; 0: the answer says it

	next, more   []string
	token, after map[string][]string
}

// read reads the pointers.
func (p *paging) read(more string) error {
	ways := 0
	for _, there := range []bool{p.Next != "", len(p.Token) > 0, len(p.After) > 0, p.Offset != ""} {
		if there {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("list: next, token, after and offset exclude each other")
	}
	var ok1, ok2 bool
	p.next, ok1 = parsePointer(p.Next)
	p.more, ok2 = parsePointer(more)
	if !ok1 || !ok2 {
		return errors.New("list: next or more is no JSON pointer")
	}
	var err1, err2 error
	p.token, err1 = pagePointers("token", p.Token)
	p.after, err2 = pagePointers("after", p.After)
	return errors.Join(err1, err2)
}

func pagePointers(field string, list map[string]string) (map[string][]string, error) {
	out := map[string][]string{}
	for name, pointer := range list {
		tokens, ok := parsePointer(pointer)
		if !ok {
			return nil, fmt.Errorf("list: %s.%s is no JSON pointer", field, name)
		}
		out[name] = tokens
	}
	return out, nil
}

// target is the address of the next page that the answer itself gives; empty: none.
func (p *paging) target(reply remediators.Reply, doc json.RawMessage) string {
	if target := nextLink(reply.Field("Link")); target != "" || len(p.next) == 0 {
		return target
	}
	v, _ := at(doc, p.next)
	s, _ := text(v)
	return s
}

// find finds the call for the next page where no address is given; an empty path: there is none. whole is false where
// there may be one that cannot be asked for.
func (p *paging) find(call remediators.Call, doc json.RawMessage, list []json.RawMessage) (path, query string, whole bool) {
	if len(p.token) > 0 {
		return turned(call, p.token, doc)
	}
	more, _ := at(doc, p.more)
	switch {
	case len(p.more) == 0 || string(more) != "true":
		return "", "", p.Most == 0 || len(list) < p.Most
	case len(list) == 0:
		return "", "", false
	case p.Offset != "":
		return further(call, p.Offset, len(list))
	case len(p.after) == 0:
		return "", "", false
	}
	path, query, whole = turned(call, p.after, list[len(list)-1])
	return path, query, whole && path != ""
}

// turned sets parameters to what stands at pointers of a document; an empty path: it has nothing there.
func turned(call remediators.Call, parameters map[string][]string, doc json.RawMessage) (path, query string, whole bool) {
	values, err := url.ParseQuery(call.Query)
	for name, pointer := range parameters {
		v, _ := at(doc, pointer)
		s, scalar := text(v)
		if len(v) == 0 || string(v) == "null" || scalar && s == "" {
			return "", "", true
		}
		if err != nil || !scalar {
			return "", "", false
		}
		values.Set(name, s)
	}
	return call.Path, values.Encode(), true
}

// further moves a parameter that counts elements on by those of a page.
func further(call remediators.Call, parameter string, by int) (path, query string, whole bool) {
	values, err := url.ParseQuery(call.Query)
	from, _ := strconv.Atoi(values.Get(parameter)) // not there: the first page
	values.Set(parameter, strconv.Itoa(from+by))
	return call.Path, values.Encode(), err == nil
}

// nextLink takes the address of the next page out of a Link header.
func nextLink(header string) string {
	for part := range strings.SplitSeq(header, ",") {
		target, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.HasPrefix(target, "<") && strings.HasSuffix(target, ">") && slices.ContainsFunc(strings.Split(params, ";"), func(s string) bool {
			name, value, _ := strings.Cut(strings.TrimSpace(s), "=")
			return strings.EqualFold(name, "rel") && slices.Contains(strings.Fields(strings.Trim(value, `"`)), "next")
		}) {
			return target[1 : len(target)-1]
		}
	}
	return ""
}

// A timing is where an element says a time.
type timing []tmpl

// read reads the pointer, whose tokens may refer to the resource.
func (t *timing) read(pointer string) error {
	tokens, ok := parsePointer(pointer)
	if !ok {
		return errors.New("list: created or changed is no JSON pointer")
	}
	for _, token := range tokens {
		parsed, err := parseText(token)
		if err != nil {
			return fmt.Errorf("list: created or changed %w", err)
		}
		*t = append(*t, parsed)
	}
	return nil
}

// at reads a time, as RFC 3339 or in seconds or milliseconds of the epoch; zero: there is none.
func (t timing) at(e, place json.RawMessage) time.Time {
	var tokens []string
	for _, token := range t {
		s, err := token.render(values{resource: place}, asText)
		if err != nil {
			return time.Time{}
		}
		tokens = append(tokens, s)
	}
	if len(tokens) == 0 {
		return time.Time{}
	}
	v, _ := at(e, tokens)
	s, _ := text(v)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC()
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || n <= 0:
		return time.Time{}
	case n > millis:
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// millis is a number that as seconds is in the year 5138, and as milliseconds in 1973: what is larger is milliseconds.
const millis = 100_000_000_000
