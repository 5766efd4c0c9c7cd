package ledger

import (
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// A Selection picks entries of a window. The zero value picks all.
type Selection struct {
	Only    []Term // any of them; empty: all
	Exclude []Term // none of them
	After   int    // only entries with a greater Seq ("back to entry N": N itself stays); 0: all
	// UpTo is the newest entry that was there when a partial run began: what is recorded meanwhile is not
	// the run's. 0: no bound.
	UpTo int
	// Also are entries that a partial run brought to light itself; they belong to it whatever the rest says.
	Also []uuid.UUID
}

// A Term names entries in one of five ways; exactly one field is set.
type Term struct {
	ID     uuid.UUID
	Seq    int
	System string
	Kind   string
	Tag    string
}

// All reports whether the selection leaves nothing out. A bound alone leaves nothing out that was there.
func (s Selection) All() bool { return len(s.Only) == 0 && len(s.Exclude) == 0 && s.After == 0 }

// Has reports whether e is selected.
func (s Selection) Has(e *Entry) bool {
	match := func(t Term) bool { return t.matches(e) }
	if slices.Contains(s.Also, e.ID) {
		return true
	}
	return e.Seq > s.After && (s.UpTo == 0 || e.Seq <= s.UpTo) &&
		(len(s.Only) == 0 || slices.ContainsFunc(s.Only, match)) && !slices.ContainsFunc(s.Exclude, match)
}

func (t Term) matches(e *Entry) bool {
	switch {
	case t.ID != uuid.Nil:
		return t.ID == e.ID
	case t.Seq != 0:
		return t.Seq == e.Seq
	case t.System != "":
		return t.System == e.System
	case t.Kind != "":
		return t.Kind == e.Kind
	default:
		return t.Tag != "" && t.Tag == e.Tag
	}
}

// String writes the term as ParseTerm reads it.
func (t Term) String() string {
	switch {
	case t.ID != uuid.Nil:
		return t.ID.String()
	case t.Seq != 0:
		return strconv.Itoa(t.Seq)
	case t.System != "":
		return "system=" + t.System
	case t.Kind != "":
		return "kind=" + t.Kind
	default:
		return "tag=" + t.Tag
	}
}

// ParseTerm reads an entry's id or number, system=NAME, kind=NAME or tag=NAME. Field names the
// request's field in the error.
func ParseTerm(field, s string) (Term, error) {
	if key, value, ok := strings.Cut(s, "="); ok && value != "" {
		switch key {
		case "system":
			return Term{System: value}, nil
		case "kind":
			return Term{Kind: value}, nil
		case "tag":
			return Term{Tag: value}, nil
		}
	}
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return Term{Seq: n}, nil
	}
	if id, err := uuid.Parse(s); err == nil && id != uuid.Nil { // the zero id would be a term that says nothing
		return Term{ID: id}, nil
	}
	return Term{}, Invalid(field, "want an entry's id or number, system=NAME, kind=NAME or tag=NAME")
}

// parseTerms parses a list of terms; field is its JSON pointer in the request.
func parseTerms(field string, list []string) ([]Term, error) {
	var out []Term
	for i, s := range list {
		t, err := ParseTerm(field+"/"+strconv.Itoa(i), s)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func termStrings(list []Term) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.String())
	}
	return out
}

// Equal reports whether two selections were asked for with the same terms, in whatever order.
func (s Selection) Equal(o Selection) bool {
	return s.After == o.After && sameTerms(s.Only, o.Only) && sameTerms(s.Exclude, o.Exclude)
}

func sameTerms(a, b []Term) bool {
	all := func(list, in []Term) bool {
		return !slices.ContainsFunc(list, func(t Term) bool { return !slices.Contains(in, t) })
	}
	return all(a, b) && all(b, a)
}
