package plugin

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sideledger/ledger"
)

// A Description is what a plugin says of itself.
type Description struct {
	Kinds    []Kind `json:"kinds"`
	Page     string `json:"page"`      // one paragraph for people
	BackedBy string `json:"backed_by"` // what its author tested it against
}

// A Kind is one kind of entries that a plugin serves.
type Kind struct {
	Kind       string               `json:"kind"`
	Says       string               `json:"says"`
	Actions    []ledger.Action      `json:"actions"`
	Reversible ledger.Reversibility `json:"reversible"` // the best grade
	Resource   map[string]Member    `json:"resource"`
}

// A Member is one member of a kind's resource.
type Member struct {
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Says     string `json:"says"`
}

const (
	maxKinds   = 64
	maxMembers = 64
	maxText    = 2 << 10 // bytes of a text for people
)

var (
	kindName = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
	// firsts are the first characters that a JSON value of a type may have.
	firsts = map[string]string{"string": `"`, "number": "-0123456789", "integer": "-0123456789", "boolean": "tf", "object": "{", "array": "["}
	grades = []ledger.Reversibility{
		ledger.ReversibleExact, ledger.ReversibleEquivalent, ledger.ReversibleCompensating, ledger.ReversibleManual, ledger.ReversibleNone,
	}
	actions = []ledger.Action{ledger.ActionCreate, ledger.ActionUpdate, ledger.ActionDelete}
)

// validate says what is wrong with a description; nil: nothing.
func (d *Description) validate() error {
	if len(d.Kinds) == 0 || len(d.Kinds) > maxKinds {
		return broke("it describes no kinds, or more than %d", maxKinds)
	}
	for _, k := range d.Kinds {
		if err := k.validate(); err != nil {
			return err
		}
	}
	if len(d.Page) > maxText || len(d.BackedBy) > maxText {
		return broke("it describes itself in more than 2 KiB")
	}
	return nil
}

func (k Kind) validate() error {
	switch {
	case len(k.Kind) > 128 || !kindName.MatchString(k.Kind):
		return broke("it describes a kind whose name is none")
	case len(k.Actions) == 0 || slices.ContainsFunc(k.Actions, func(a ledger.Action) bool { return !slices.Contains(actions, a) }):
		return broke("kind %s: its actions are create, update and delete, or some of them", k.Kind)
	case !slices.Contains(grades, k.Reversible):
		return broke("kind %s: reversible is exact, equivalent, compensating, manual or none", k.Kind)
	case len(k.Says) > maxText:
		return broke("kind %s: it says more than 2 KiB", k.Kind)
	}
	return k.validateResource()
}

func (k Kind) validateResource() error {
	if len(k.Resource) == 0 || len(k.Resource) > maxMembers {
		return broke("kind %s: its resource has no members, or too many", k.Kind)
	}
	for name, m := range k.Resource {
		if firsts[m.Type] == "" || len(m.Says) > maxText || len(name) > 128 {
			return broke("kind %s: a member of its resource has no type", k.Kind)
		}
	}
	return nil
}

// checkResource holds an entry's resource to what its kind says. The error is a [ledger.Error].
func (k Kind) checkResource(resource json.RawMessage) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(resource, &members) != nil {
		return ledger.Invalid("/resource", "has to be an object")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m, known := k.Resource[name]
		field := "/resource/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if !known {
			return ledger.Invalid(field, "is not known here; known are %s", strings.Join(slices.Sorted(maps.Keys(k.Resource)), ", "))
		}
		if !m.takes(members[name]) {
			return ledger.Invalid(field, "has to be: %s", m.Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Resource)) {
		if _, there := members[name]; !there && k.Resource[name].Required {
			return ledger.Invalid("/resource/"+name, "is missing: it names the resource")
		}
	}
	return nil
}

func (m Member) takes(v json.RawMessage) bool {
	v = bytes.TrimSpace(v)
	if len(v) == 0 || !strings.ContainsRune(firsts[m.Type], rune(v[0])) {
		return false
	}
	return m.Type != "integer" || !bytes.ContainsAny(v, ".eE")
}

// find returns the description of a kind.
func (d *Description) find(kind string) (Kind, bool) {
	i := slices.IndexFunc(d.Kinds, func(k Kind) bool { return k.Kind == kind })
	if i < 0 {
		return Kind{}, false
	}
	return d.Kinds[i], true
}

func (d *Description) names() []string {
	var out []string
	for _, k := range d.Kinds {
		out = append(out, k.Kind)
	}
	slices.Sort(out)
	return out
}

// public is the description as the ledger knows it, cleaned for people.
func (d *Description) public() ledger.Description {
	out := ledger.Description{Page: clean(d.Page, maxText), BackedBy: clean(d.BackedBy, maxText)}
	for _, k := range d.Kinds {
		kind := ledger.KindDescription{Kind: k.Kind, Says: clean(k.Says, maxText), Actions: k.Actions, Reversible: k.Reversible}
		for _, name := range slices.Sorted(maps.Keys(k.Resource)) {
			m := k.Resource[name]
			kind.Resource = append(kind.Resource, ledger.Member{Name: clean(name, maxText), Type: m.Type, Required: m.Required, Says: clean(m.Says, maxText)})
		}
		out.Kinds = append(out.Kinds, kind)
	}
	slices.SortFunc(out.Kinds, func(a, b ledger.KindDescription) int { return strings.Compare(a.Kind, b.Kind) })
	return out
}

// clean makes a plugin's text fit to be shown: one line of at most so many runes.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return strings.TrimSpace(s)
}
