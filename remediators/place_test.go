package remediators

import (
	"strings"
	"testing"
)

// Where a rehearsal makes its canaries is said by members of resources; what is none is named.
func TestRehearsePlace(t *testing.T) {
	c := SystemConfig{Remediator: "http", URL: "http://127.0.0.1:1", Rehearse: RehearseConfig{Place: map[string]any{"server": "srv0", "id": 7, "on": true}}}
	if err := c.Validate("edge"); err != nil {
		t.Error(err)
	}
	if got := string(c.system("edge").Place); got != `{"id":7,"on":true,"server":"srv0"}` {
		t.Errorf("the domain is told %s", got)
	}
	for name, want := range map[string]string{"repo": "systems.edge.rehearse.place.repo: ", "": "systems.edge.rehearse.place"} {
		value := any([]any{"a"})
		if name == "" {
			value = "x"
		}
		c.Rehearse.Place = map[string]any{name: value}
		if err := c.Validate("edge"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is refused with %v", name, err)
		}
	}
}
