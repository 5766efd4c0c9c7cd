package main

import (
	"fmt"
	"strings"

	"sideledger/api/wire"
)

// takes says how long it will take, where that makes a difference.
func (t *textPlan) takes(p *wire.Plan) {
	if p.CriticalPath.Entries == 0 {
		return
	}
	var systems []string
	for _, s := range p.CriticalPath.Systems {
		systems = append(systems, fmt.Sprintf("%s %d", clean(s.System), s.Entries))
	}
	t.page.printf("Critical path: %d %s (%s).", p.CriticalPath.Entries, map[bool]string{true: "entry", false: "entries"}[p.CriticalPath.Entries == 1], short(strings.Join(systems, ", "), 120))
	e := p.Estimate
	if e.Measured == 0 {
		t.page.printf(" No estimate: nothing was undone at these systems yet.\n")
		return
	}
	t.page.printf(" About %s one by one, %s at best with --parallel; by %d measured undos", clean(e.OneByOne), clean(e.AtBest), e.Measured)
	if len(e.Unmeasured) > 0 {
		t.page.printf(", none at %s", short(clean(strings.Join(e.Unmeasured, ", ")), 80))
	}
	t.page.printf(".\n")
}
