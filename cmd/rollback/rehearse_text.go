package main

import (
	"slices"
	"strconv"
	"strings"

	"sideledger/api/wire"
)

// showRehearsals shows what came of rehearsals, and returns their exit status as an error.
func (a *app) showRehearsals(list wire.RehearsalList) error {
	v := view{value: list, lines: []any{}, names: []string{}}
	for _, r := range list.Items {
		v.lines = append(v.lines, r)
		if r.WindowID != nil {
			v.names = append(v.names, *r.WindowID)
		}
	}
	v.text = func(p *page) {
		for i := range list.Items {
			p.rehearsal(&list.Items[i])
		}
	}
	if err := a.show(v); err != nil {
		return err
	}
	return exitWith(statusOfRehearsals(list.Items))
}

// statusOfRehearsals maps what came of rehearsals to an exit status.
func statusOfRehearsals(list []wire.Rehearsal) int {
	status := exitDone
	for i := range list {
		switch s := statusOfRehearsal(&list[i]); {
		case s == exitFailed, status == exitFailed:
			status = exitFailed
		case s == exitRunning, status == exitRunning:
			status = exitRunning
		case s != exitDone:
			status = s
		}
	}
	return status
}

func statusOfRehearsal(r *wire.Rehearsal) int {
	for _, c := range r.Canaries {
		for _, s := range c.Steps {
			if s.Result == "refused" || s.Result == "failed" {
				return exitFailed
			}
		}
	}
	switch {
	case r.Proven && !anyRemains(r.Earlier):
		return exitDone
	case !r.Over:
		return exitRunning
	default:
		return exitPerson
	}
}

// anyRemains reports whether an earlier rehearsal left something that is still there.
func anyRemains(list []wire.EarlierRehearsal) bool {
	return slices.ContainsFunc(list, func(e wire.EarlierRehearsal) bool { return len(e.Remains) > 0 })
}

// rehearsal shows one.
func (p *page) rehearsal(r *wire.Rehearsal) {
	p.printf("%s\n", p.paint(tintBold, "Rehearsal of "+clean(r.System)))
	for _, e := range r.Earlier {
		p.printf("  an earlier rehearsal had not ended; it is taken back too: its window %s is %s\n", clean(e.WindowID), clean(e.State))
		for i := range e.Remains {
			p.remains(&e.Remains[i])
		}
	}
	for i := range r.Canaries {
		p.canary(&r.Canaries[i])
	}
	for _, n := range r.NotRehearsed {
		p.printf("\n  %s  %s\n    %s\n", clean(n.Kind), p.paint(tintDim, "- not rehearsable"), clean(n.Why))
	}
	p.printf("\n%s\n", rehearsalSummary(r))
	if r.WindowID != nil {
		p.printf("Its window: %s\n", clean(*r.WindowID))
	}
}

func rehearsalSummary(r *wire.Rehearsal) string {
	switch {
	case r.Proven:
		return "Proven: what was made was changed and taken back."
	case !r.Over:
		return "It is still being taken back. Look again:  rollback rehearse --show " + clean(*r.WindowID)
	case len(r.Canaries) == 0:
		return "Nothing was proven: there was nothing that could be rehearsed."
	default:
		return "Not proven."
	}
}

func (p *page) canary(c *wire.Canary) {
	p.printf("\n  %s  %s\n", clean(c.Kind), clean(describe(c.Resource)))
	var rows [][]cell
	for _, s := range c.Steps {
		symbol, tint := stepSymbol(s.Result)
		status := ""
		if s.Status != 0 {
			status = strconv.Itoa(s.Status)
		}
		rows = append(rows, []cell{
			{"    " + clean(strings.ReplaceAll(s.Step, "_", " ")), tintNone},
			{symbol + " " + clean(strings.ReplaceAll(s.Result, "_", " ")), tint},
			{status, tintDim},
			{clean(s.Detail), tintNone},
		})
	}
	p.table(rows)
	if why := finding(c.Steps); why != "" {
		p.printf("    %s\n", p.paint(tintBad, why))
	}
	if c.Remains != nil {
		p.remains(c.Remains)
	}
}

// remains says what was left behind, and how it is removed.
func (p *page) remains(r *wire.Remains) {
	p.printf("    %s %s  %s\n", p.paint(tintBad, "Left behind:"), clean(r.Why), clean(describe(r.Resource)))
	if q := r.Request; q != nil && q.Method != "" {
		p.printf("    Remove it:    %s %s, and then  rollback resolve %s --done --reason …\n", clean(q.Method), clean(q.URL), clean(r.EntryID))
	}
	p.printf("    Or put the cause right and rehearse again: that takes back what can be.\n")
}

func stepSymbol(result string) (string, tint) {
	switch result {
	case "ok":
		return "=", tintGood
	case "refused", "failed":
		return "x", tintBad
	case "drifted", "in_doubt":
		return "?", tintWarn
	case "pending":
		return "~", tintChange
	default:
		return ".", tintDim
	}
}

// finding says in one sentence what a refusal of the third party means.
func finding(steps []wire.RehearsalStep) string {
	may := map[string]string{
		"read": "read it", "create": "make one", "update": "change one", "undo_update": "change one back", "undo_create": "delete what it makes",
	}
	for _, s := range steps {
		if s.Result == "refused" && (s.Status == 401 || s.Status == 403) && may[s.Step] != "" {
			return "The credential may not " + may[s.Step] + ": a right is missing."
		}
	}
	return ""
}
