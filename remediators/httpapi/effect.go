package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sideledger/ledger"
)

// actionSet is what an effect does that creates the resource where it is not there and changes it where it is.
const actionSet ledger.Action = "set"

// An effect is one call of a third party that a profile knows how to undo.
type effect struct {
	Call   string        `yaml:"call"`   // "PATCH /id/{id}?mode=x"; {+path} stands for several segments, a parameter has to have that value
	Action ledger.Action `yaml:"action"` // create, update, delete, or set: a look says which of create and update
	// Where members of the resource stand, besides the path of the call: in its query, in its body (JSON pointers, which
	// |last may follow: see filters), in
	// the answer's body (JSON pointers), in the answer's Location header (a pattern as Call), or in the validator of a
	// read (a pattern; what stands around it does not matter).
	Query     map[string]string `yaml:"query"`
	Body      map[string]string `yaml:"body"`
	Answer    map[string]string `yaml:"answer"`
	Location  string            `yaml:"location"`
	Validator string            `yaml:"validator"`
	// Last: a place that the validator says is left out where it is the last of its list; nil: it stays.
	Last *lastPlace `yaml:"last"`
	// Merge: the body is a merge patch (RFC 7396), so that the entry owns the members that stand in it.
	Merge bool `yaml:"merge"`
	// Whole: the body is what the resource is afterwards. It lets a look settle a call whose answer was lost.
	Whole bool `yaml:"whole"`
	// Append: where a list is, the body becomes its last element.
	Append bool `yaml:"append"`
	// Only lists the members that the body may have, an object, a form or a JSON Patch: what others change, no undo of the kind brings
	// back. Parameters lists those of the query likewise; none with an empty list. Absent: anything.
	Only       []string  `yaml:"only"`
	Parameters *[]string `yaml:"parameters"`
	// When holds the body to a value at a place, or to one of a list; null stands for nothing there too. So calls with one
	// address are told apart.
	When map[string]any `yaml:"when"`
	// After is what the call makes of the resource, as far as the kind owns it, where neither body nor merge says it.
	After any `yaml:"after"`
	// Success lists statuses besides 2xx less 202 by which the third party says that the effect is there, or will be.
	Success []int `yaml:"success"`

	method   string
	fixed    url.Values // parameters that stand in Call with their values
	when     holds
	after    json.RawMessage // nil: it is not said
	path     *placed
	location *placed // nil: none
	place    *placed // nil: none
}

// placed is a pattern with named holes.
type placed struct {
	re      *regexp.Regexp
	multi   map[string]bool // holes that take several segments
	literal int             // how many characters of it are no holes: the more, the closer it fits
}

var holePattern = regexp.MustCompile(`\{(\+?)([A-Za-z][A-Za-z0-9_]*)\}`)

// parsePlaced reads a pattern; whole: it has to fit a text from end to end.
func parsePlaced(s string, whole bool) (*placed, error) {
	out := &placed{multi: map[string]bool{}}
	var b strings.Builder
	for {
		at := holePattern.FindStringSubmatchIndex(s)
		if at == nil {
			break
		}
		name, several := s[at[4]:at[5]], at[2] != at[3]
		if _, twice := out.multi[name]; twice {
			return nil, fmt.Errorf("has a duplicate {%s}", name)
		}
		if out.multi[name] = several; several {
			fmt.Fprintf(&b, "%s(?P<%s>(?:/[^/]+)+)", regexp.QuoteMeta(s[:at[0]]), name)
		} else {
			fmt.Fprintf(&b, "%s(?P<%s>[^/ ]+)", regexp.QuoteMeta(s[:at[0]]), name)
		}
		out.literal += at[0]
		s = s[at[1]:]
	}
	if strings.ContainsAny(s, "{}") {
		return nil, errors.New("has a brace that is no {member}")
	}
	out.literal += len(s)
	text := b.String() + regexp.QuoteMeta(s)
	if whole {
		text = "^" + text + "$"
	}
	re, err := regexp.Compile(text)
	out.re = re
	return out, err
}

// find returns what stands in the holes, unescaped; false: it does not fit.
func (p *placed) find(s string) (map[string]string, bool) {
	got := p.re.FindStringSubmatch(s)
	if got == nil {
		return nil, false
	}
	out := map[string]string{}
	for i, name := range p.re.SubexpNames() {
		if name == "" {
			continue
		}
		segments := strings.Split(got[i], "/")
		for j, escaped := range segments {
			plain, err := url.PathUnescape(escaped)
			if err != nil || p.multi[name] && strings.Contains(plain, "/") {
				return nil, false
			}
			segments[j] = plain
		}
		out[name] = strings.Join(segments, "/")
	}
	return out, true
}

// check reads an effect and holds its members to those of the kind.
func (x *effect) check(k *profileKind) error {
	method, path, ok := strings.Cut(x.Call, " ")
	path, query, _ := strings.Cut(path, "?")
	if !ok || !slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) || !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "{+") {
		return fmt.Errorf("effect %q: want METHOD /path", x.Call)
	}
	x.method = method
	if err := x.checkMeaning(query); err != nil {
		return fmt.Errorf("effect %q: %w", x.Call, err)
	}
	for _, p := range []struct {
		text  string
		whole bool
		into  **placed
	}{{path, true, &x.path}, {x.Location, false, &x.location}, {x.Validator, false, &x.place}} {
		if p.text == "" {
			continue
		}
		parsed, err := parsePlaced(p.text, p.whole)
		if err != nil {
			return fmt.Errorf("effect %q: %w", x.Call, err)
		}
		*p.into = parsed
	}
	if err := x.Last.check(x); err != nil {
		return err
	}
	return x.checkMembers(k)
}

// checkMeaning reads what the call asks for by its query and its body, and what comes of it.
func (x *effect) checkMeaning(query string) (err error) {
	if x.fixed, err = url.ParseQuery(query); err != nil {
		return errors.New("its query cannot be read")
	}
	if x.when, err = parseHolds(x.When); err != nil {
		return err
	}
	if x.After != nil {
		x.after, err = json.Marshal(x.After)
	}
	for _, status := range x.Success {
		if status < 200 || status > 399 {
			return errors.New("success has a status that no success has")
		}
	}
	return err
}

// checkMembers holds the action to what goes with it, and the members to those of the kind.
func (x *effect) checkMembers(k *profileKind) error {
	if why := x.checkAction(); why != "" {
		return fmt.Errorf("effect %q: %s", x.Call, why)
	}
	for _, name := range x.members() {
		if !slices.Contains(k.members, name) {
			return fmt.Errorf("effect %q: %s is no member of the resource", x.Call, name)
		}
	}
	var pointers []string
	for _, p := range x.Body {
		pointers = append(pointers, strings.TrimSuffix(p, "|"+filterLast))
	}
	for _, p := range slices.Concat(pointers, slices.Collect(maps.Values(x.Answer))) {
		if _, ok := parsePointer(p); !ok {
			return fmt.Errorf("effect %q: %q is no JSON pointer", x.Call, p)
		}
	}
	for _, key := range k.Resource.Key {
		if !slices.Contains(x.members(), key) {
			return fmt.Errorf("effect %q: nothing says %s, which names the resource", x.Call, key)
		}
	}
	return nil
}

// checkAction says what does not go with the action; "": nothing.
func (x *effect) checkAction() string {
	actions := []ledger.Action{ledger.ActionCreate, ledger.ActionUpdate, ledger.ActionDelete, actionSet}
	switch {
	case !slices.Contains(actions, x.Action):
		return "action is create, update, delete or set"
	case (len(x.Answer) > 0 || x.location != nil) && x.Action != ledger.ActionCreate:
		return "answer and location name what a create has made"
	case x.Append && x.Action != actionSet:
		return "append goes with set, since a look has to tell"
	}
	return x.checkImage()
}

// checkImage says what of the ways to tell the after-image does not go together, or not with the action; "": nothing.
func (x *effect) checkImage() string {
	ways := 0
	for _, said := range []bool{x.Merge, x.Whole, x.After != nil} {
		if said {
			ways++
		}
	}
	switch {
	case x.Merge && (x.Action != ledger.ActionUpdate || x.Whole):
		return "merge is an update, and not whole"
	case ways > 0 && x.Action == ledger.ActionDelete:
		return "a delete leaves nothing"
	case ways > 1:
		return "after says what whole or merge says"
	}
	return ""
}

// members lists the members of the resource that the effect says something about.
func (x *effect) members() []string {
	var out []string
	for _, p := range []*placed{x.path, x.location, x.place} {
		if p != nil {
			out = append(out, slices.DeleteFunc(slices.Clone(p.re.SubexpNames()), func(s string) bool { return s == "" })...)
		}
	}
	for _, m := range []map[string]string{x.Query, x.Body, x.Answer} {
		for name := range m {
			out = append(out, name)
		}
	}
	return out
}

// looks reports whether the resource has to be read to know what the call does.
func (x *effect) looks() bool { return x.Action == actionSet || x.Merge || x.place != nil }

// resource takes the members of the resource out of a call. fits is false for another call; why says what a call that
// fits lacks.
func (x *effect) resource(c ledger.EffectCall) (members map[string]json.RawMessage, fits bool, why string) {
	if c.Method != x.method {
		return nil, false, ""
	}
	texts, fits := x.path.find(c.Path)
	if !fits {
		return nil, false, ""
	}
	query, err := url.ParseQuery(c.Query)
	if err != nil {
		return nil, false, ""
	}
	if why := x.fixes(query) + x.exceeds(query, c); why != "" {
		return nil, true, why
	}
	members = map[string]json.RawMessage{}
	for name, parameter := range x.Query {
		if !query.Has(parameter) {
			return nil, true, "its query has no " + parameter
		}
		texts[name] = query.Get(parameter)
	}
	for name, s := range texts {
		members[name] = quote(s)
	}
	return members, true, x.fromBody(c.Body, members)
}

// fromBody adds the members of the resource that stand in a body; why says which is not there.
func (x *effect) fromBody(doc []byte, members map[string]json.RawMessage) (why string) {
	for name, pointer := range x.Body {
		pointer, last := strings.CutSuffix(pointer, "|"+filterLast)
		tokens, _ := parsePointer(pointer)
		v, ok := at(doc, tokens)
		if _, scalar := text(v); !ok || !scalar || !json.Valid(doc) {
			return "its body has no " + pointer + ", which names the resource"
		}
		if last {
			v, _ = filtered(filterLast, v) // a scalar always has one
		}
		members[name] = v
	}
	return ""
}

// fixes says which parameter has not the value that the call is about, and takes the others out; "": all have.
func (x *effect) fixes(query url.Values) string {
	for name, want := range x.fixed {
		if !slices.Equal(query[name], want) {
			return "its query has to have " + name + "=" + want[0]
		}
		query.Del(name)
	}
	return ""
}

// exceeds says what a call asks for beyond what the kind's undos bring back; "": nothing.
func (x *effect) exceeds(query url.Values, c ledger.EffectCall) string {
	if x.Parameters != nil {
		for _, name := range slices.Sorted(maps.Keys(query)) {
			if !slices.Contains(*x.Parameters, name) {
				return "its query has a parameter that no undo of the kind takes back; known are: " + strings.Join(*x.Parameters, ", ")
			}
		}
	}
	if len(x.when) > 0 && !x.when.of(c.Body) {
		return "its body has to be another at " + strings.Join(slices.Sorted(maps.Keys(x.when)), ", ")
	}
	if len(x.Only) == 0 {
		return ""
	}
	names, ok := bodyMembers(c)
	if !ok {
		return "its body is not the object or form that the kind's undos know"
	}
	for _, name := range names {
		if !slices.Contains(x.Only, name) {
			return "its body has a member that no undo of the kind brings back; known are " + strings.Join(x.Only, ", ")
		}
	}
	return ""
}

// bodyMembers lists the members of a body that is a JSON object, those that a JSON Patch (RFC 6902) is about, or those of a
// form by its content type.
func bodyMembers(c ledger.EffectCall) (names []string, ok bool) {
	kind := ""
	for name, value := range c.Header {
		if http.CanonicalHeaderKey(name) == "Content-Type" {
			kind = mediaType(value)
		}
	}
	if kind == formType {
		form, err := url.ParseQuery(string(c.Body))
		for name := range form {
			name, _, _ = strings.Cut(name, "[")
			names = append(names, name)
		}
		slices.Sort(names)
		return names, err == nil
	}
	var patch []struct{ Path, From string }
	if json.Unmarshal(c.Body, &patch) == nil && len(patch) > 0 {
		return patched(patch)
	}
	var doc map[string]json.RawMessage
	err := json.Unmarshal(c.Body, &doc)
	return slices.Sorted(maps.Keys(doc)), err == nil && doc != nil
}

// patched lists the members that a JSON Patch is about; the whole document is none.
func patched(patch []struct{ Path, From string }) (names []string, ok bool) {
	for _, op := range patch {
		for _, pointer := range []string{op.Path, op.From} {
			tokens, valid := parsePointer(pointer)
			switch {
			case !valid, len(tokens) == 0 && pointer == op.Path:
				return nil, false
			case len(tokens) > 0:
				names = append(names, tokens[0])
			}
		}
	}
	slices.Sort(names)
	return names, true
}
