package unleash

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"sideledger/ledger"
)

// A toggle is a feature flag in one environment: what an image says, or what Unleash shows.
type toggle struct {
	enabled    bool
	known      bool // strategies are said
	strategies []strategy
}

// A strategy is one activation strategy, in its canonical form.
type strategy struct {
	id       string
	disabled bool
	doc      map[string]json.RawMessage
}

// defaults are what a strategy's members are where a read leaves them out. Members that are not here and not
// id, name or sortOrder are the server's.
var defaults = map[string]json.RawMessage{
	"title": json.RawMessage("null"), "disabled": json.RawMessage("false"), "parameters": json.RawMessage("{}"),
	"constraints": json.RawMessage("[]"), "variants": json.RawMessage("[]"), "segments": json.RawMessage("[]"),
}

// parseToggle reads an image or what Unleash shows; nil if it is none.
func parseToggle(raw json.RawMessage) *toggle {
	var doc struct {
		Enabled    *bool             `json:"enabled"`
		Strategies []json.RawMessage `json:"strategies"`
	}
	if json.Unmarshal(raw, &doc) != nil || doc.Enabled == nil {
		return nil
	}
	t := &toggle{enabled: *doc.Enabled, known: says(members(raw), "strategies")}
	for _, raw := range doc.Strategies {
		m := members(raw)
		if m == nil {
			return nil
		}
		s := strategy{doc: maps.Clone(defaults)}
		for name, v := range m {
			if _, ours := defaults[name]; ours || name == "id" || name == "name" || name == "sortOrder" {
				s.doc[name] = v
			}
		}
		if json.Unmarshal(m["id"], &s.id) != nil || s.id == "" {
			return nil
		}
		s.disabled = string(s.doc["disabled"]) == "true"
		t.strategies = append(t.strategies, s)
	}
	return t
}

// image is the toggle in its canonical form.
func (t *toggle) image() ledger.Image {
	m := map[string]json.RawMessage{"enabled": json.RawMessage("false")}
	if t.enabled {
		m["enabled"] = json.RawMessage("true")
	}
	if t.known {
		list := make([]json.RawMessage, 0, len(t.strategies))
		for _, s := range t.strategies {
			list = append(list, object(s.doc))
		}
		m["strategies"], _ = json.Marshal(list) // raw documents that were read
	}
	return ledger.Image{JSON: object(m)}
}

func (t *toggle) find(id string) *strategy {
	if i := slices.IndexFunc(t.strategies, func(s strategy) bool { return s.id == id }); i >= 0 {
		return &t.strategies[i]
	}
	return nil
}

// active reports whether some strategy is not disabled: then `on` leaves the strategies alone.
func (t *toggle) active() bool {
	return slices.ContainsFunc(t.strategies, func(s strategy) bool { return !s.disabled })
}

func (s *strategy) same(o *strategy) bool {
	return s == nil && o == nil || s != nil && o != nil && same(object(s.doc), object(o.doc))
}

// enabledSince reports whether s is o but for having been enabled.
func (s *strategy) enabledSince(o *strategy) bool {
	if s == nil || o == nil || s.disabled || !o.disabled {
		return false
	}
	enabled := strategy{doc: maps.Clone(o.doc)}
	enabled.doc["disabled"] = json.RawMessage("false")
	return s.same(&enabled)
}

func canonicalToggle(i ledger.Image) ledger.Image {
	if t := parseToggle(i.JSON); t != nil {
		return t.image()
	}
	return i
}

func saysStrategies(i ledger.Image) bool {
	t := parseToggle(i.JSON)
	return t != nil && t.known
}

// A place is what names a toggle.
type place struct {
	Project     string `json:"project"`
	Feature     string `json:"feature"`
	Environment string `json:"environment"`
}

// urlName is what Unleash takes as a name.
var urlName = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}$`)

// parsePlace reads a resource; field names what is wrong with it, empty: nothing.
func parsePlace(raw json.RawMessage) (p place, field string) {
	m := members(raw)
	for name := range m {
		if name != "project" && name != "feature" && name != "environment" {
			return p, "/resource/" + name
		}
	}
	if m == nil || json.Unmarshal(raw, &p) != nil {
		return p, "/resource"
	}
	for name, v := range map[string]string{"project": p.Project, "feature": p.Feature, "environment": p.Environment} {
		if !urlName.MatchString(v) {
			return p, "/resource/" + name
		}
	}
	return p, ""
}

func (p place) project() string { return api + "/projects/" + segment(p.Project) }
func (p place) feature() string { return p.project() + "/features/" + segment(p.Feature) }
func (p place) environment() string {
	return p.feature() + "/environments/" + segment(p.Environment)
}

// checkToggle grades an entry offline.
func checkToggle(d *ledger.Draft) (ledger.Grading, error) {
	p, field := parsePlace(d.Resource)
	if field != "" {
		return ledger.Grading{}, ledger.Invalid(field, "is wrong: a toggle is named by project, feature and environment, all of them names as Unleash takes them, and nothing else")
	}
	if d.Action != ledger.ActionUpdate {
		return ledger.Grading{}, ledger.Invalid("/action", "is update for a toggle: it is switched, never created")
	}
	for field, i := range map[string]ledger.Image{"/before": d.Before, "/after": d.After} {
		if i.Known() && parseToggle(i.JSON) == nil {
			return ledger.Grading{}, ledger.Invalid(field, `is {"enabled": true or false}, and "strategies" as Unleash shows them, with their ids`)
		}
	}
	g := ledger.Grading{CanLook: true, Reversible: ledger.ReversibleExact}
	g.ResourceKey, _ = json.Marshal(p) // three strings
	before, after := parseToggle(d.Before.JSON), parseToggle(d.After.JSON)
	if before == nil {
		return g, nil
	}
	if !before.known && !before.enabled {
		g.Reversible = ledger.ReversibleEquivalent
		g.Warnings = append(g.Warnings, "the strategies before are not known: one that switching on adds stays after the undo; use capture")
	}
	if after != nil && after.known && slices.ContainsFunc(before.strategies, func(s strategy) bool { return after.find(s.id) == nil }) {
		g.Reversible = ledger.ReversibleManual
		g.Warnings = append(g.Warnings, "a deleted strategy comes back under another id only: a person does it")
	}
	return g, nil
}
