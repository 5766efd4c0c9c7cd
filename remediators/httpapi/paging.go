package httpapi

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sideledger/remediators"
)

// checkPaging says what does not go together in how the next page is asked for; "": nothing.
func (l *roll) checkPaging() string {
	ways := 0
	for _, has := range []bool{len(l.After) > 0, l.Token != "", l.Offset != ""} {
		if has {
			ways++
		}
	}
	switch {
	case ways > 1:
		return "the next page is asked for by one of after, token and offset"
	case l.Token != "" && l.More == "":
		return "token needs more: where the next page's token stands"
	case (l.Offset == "") != (l.Total == ""):
		return "offset and total go together"
	}
	return ""
}

// address returns where the next page is, as the Link header says or the answer does where nothing else asks for it; empty: neither.
func (l *roll) address(link string, doc json.RawMessage) string {
	if target := nextLink(link); target != "" || len(l.more) == 0 || l.Token != "" || len(l.after) > 0 {
		return target
	}
	v, _ := at(doc, l.more)
	var target string
	_ = json.Unmarshal(v, &target) // what is no text is no address
	return target
}

// goesOn reports whether an answer says that there is more: true, or a text that is not empty.
func goesOn(doc json.RawMessage, more []string) bool {
	if len(more) == 0 {
		return false
	}
	v, _ := at(doc, more)
	s, ok := text(v)
	return ok && s != "" && s != "false"
}

// next finds the next page after the last element; an empty path: there is none. whole is false where there may be one that
// cannot be asked for.
func (l *roll) next(call remediators.Call, doc json.RawMessage, list []json.RawMessage) (path, query string, whole bool) {
	values, err := url.ParseQuery(call.Query)
	more := err == nil
	switch {
	case l.Offset != "":
		more, whole = l.further(values, doc, list)
	case !goesOn(doc, l.more):
		more, whole = false, l.Most == 0 || len(list) < l.Most
	case l.Token != "":
		v, _ := at(doc, l.more)
		s, _ := text(v)
		values.Set(l.Token, s)
	default:
		more = more && l.behind(values, list)
	}
	if !more {
		return "", "", whole
	}
	return call.Path, values.Encode(), true
}

// further asks for the page after those that came before; more is false where there is none, and whole where that is certain.
func (l *roll) further(values url.Values, doc json.RawMessage, list []json.RawMessage) (more, whole bool) {
	before, _ := strconv.Atoi(values.Get(l.Offset)) // the first page says none
	total, known := number(doc, l.total)
	before += len(list)
	values.Set(l.Offset, strconv.Itoa(before))
	return known && before < total && len(list) > 0, known && before >= total
}

// behind asks for the page after the last element; false: nothing says how.
func (l *roll) behind(values url.Values, list []json.RawMessage) bool {
	if len(l.after) == 0 || len(list) == 0 {
		return false
	}
	for name, pointer := range l.after {
		v, _ := at(list[len(list)-1], pointer)
		s, ok := text(v)
		if !ok {
			return false
		}
		values.Set(name, s)
	}
	return true
}

// number reads a whole number at a place of an answer.
func number(doc json.RawMessage, pointer []string) (n int, ok bool) {
	v, _ := at(doc, pointer)
	s, _ := text(v)
	n, err := strconv.Atoi(s)
	return n, err == nil
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
