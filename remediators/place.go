package remediators

import (
	"encoding/json"
	"maps"
	"slices"
)

// RehearseConfig says where a rehearsal makes its canaries, and where is looked for what nobody recorded, as far as
// neither who asks nor a window's entries say it.
type RehearseConfig struct {
	Place map[string]any `yaml:"place"` // members of resources, of all kinds together: {server: srv0}; absent: nobody says
}

func (c RehearseConfig) validate(add func(field, msg string)) {
	for _, name := range slices.Sorted(maps.Keys(c.Place)) {
		field := "rehearse.place." + name
		switch c.Place[name].(type) {
		case string, bool, int, int64, uint64, float64:
			if name == "" {
				add("rehearse.place", "has a member without a name")
			}
		default:
			add(field, "is a text, a number, true or false, as a resource has it")
		}
	}
}

// place returns it as the domain has it; nil: nobody says.
func (c RehearseConfig) place() json.RawMessage {
	if len(c.Place) == 0 {
		return nil
	}
	raw, err := json.Marshal(c.Place)
	if err != nil {
		return nil // validate has refused it
	}
	return raw
}
