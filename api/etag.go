package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"sideledger/ledger"
)

// etag writes a journal number as a strong entity tag (RFC 9110, section 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// A tagList is what If-Match or If-None-Match holds: "*", or entity tags as they stand there.
type tagList struct {
	given bool // the header is there
	any   bool // it is "*"
	tags  []string
}

// tagsOf reads a list of entity tags (RFC 9110, section 8.8.3), in one header or several. A list that breaks
// off counts as far as it can be read.
func tagsOf(values []string) tagList {
	l := tagList{given: len(values) > 0}
	if len(values) == 1 && strings.Trim(values[0], " \t") == "*" {
		l.any = true
		return l
	}
	for _, rest := range values {
		for {
			rest = strings.TrimLeft(rest, ", \t")
			tag, after, ok := cutTag(rest)
			if !ok {
				break
			}
			l.tags, rest = append(l.tags, tag), after
		}
	}
	return l
}

// cutTag splits the entity tag off that text begins with. A comma may stand inside of one.
func cutTag(text string) (tag, rest string, ok bool) {
	opaque := strings.TrimPrefix(text, "W/")
	if !strings.HasPrefix(opaque, `"`) {
		return "", "", false
	}
	end := strings.IndexByte(opaque[1:], '"')
	if end < 0 {
		return "", "", false
	}
	end += len(text) - len(opaque) + 2
	if rest = strings.TrimLeft(text[end:], " \t"); rest != "" && rest[0] != ',' {
		return "", "", false
	}
	return text[:end], rest, true
}

// expecting puts If-Match into the context. "*" expects nothing that the call does not expect itself. A
// tag that is weak never matches (section 13.1.1), nor does one that this API never gave out.
func expecting(ctx context.Context, in *call) context.Context {
	list := tagsOf(in.header.Values("If-Match"))
	if !list.given || list.any {
		return ctx
	}
	var numbers []int64
	for _, tag := range list.tags {
		n, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
		if err == nil && etag(n) == tag {
			numbers = append(numbers, n)
		}
	}
	return ledger.WithExpected(ctx, numbers...)
}

// known reports whether the caller of a read has what carries this tag already: If-None-Match, which
// compares weakly (section 13.1.2).
func known(r *http.Request, tag string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	list := tagsOf(r.Header.Values("If-None-Match"))
	for _, given := range list.tags {
		if strings.TrimPrefix(given, "W/") == tag {
			return true
		}
	}
	return list.any
}
