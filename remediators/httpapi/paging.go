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
	case (l.Offset == "") != (l.Total == "") && (l.Offset == "" || l.More == ""):
		return "offset and total go together, or offset and more"
	}
	return ""
}

// address returns where the next page is, as the Link header says or the answer does where nothing else asks for it; empty: neither.
func (l *roll) address(link string, doc json.RawMessage) string {
	if target := nextLink(link); target != "" || len(l.more) == 0 || l.Token != "" || l.Offset != "" || len(l.after) > 0 {
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
	switch {
	case l.Offset != "":
		if ends, known := l.further(values, doc, len(list)); !known || ends || len(list) == 0 {
			return "", "", known && ends
		}
	case !goesOn(doc, l.more):
		return "", "", l.Most == 0 || len(list) < l.Most
	case l.Token != "":
		v, _ := at(doc, l.more)
		s, _ := text(v)
		values.Set(l.Token, s)
	case !l.afterLast(values, list):
		return "", "", false
	}
	if err != nil {
		return "", "", false
	}
	return call.Path, values.Encode(), true
}

// afterLast sets the parameters that name the last element; false: there are none, or it has no such name.
func (l *roll) afterLast(values url.Values, list []json.RawMessage) bool {
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

// further moves the parameter that counts elements on by those of a page. ends: there are no more; known: the answer
// tells.
func (l *roll) further(values url.Values, doc json.RawMessage, by int) (ends, known bool) {
	before, _ := strconv.Atoi(values.Get(l.Offset)) // the first page says none
	before += by
	values.Set(l.Offset, strconv.Itoa(before))
	if len(l.total) == 0 {
		return !goesOn(doc, l.more), true
	}
	total, known := number(doc, l.total)
	return before >= total, known
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
