package unleash

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// lookToggle reads a toggle. A feature flag that is archived cannot be looked at (CallDenied, with the words that
// say so); one that is gone is absent, with proof if its project is visible.
func (r *Remediator) lookToggle(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: slices.Concat(e.Unordered, []string{"/strategies"}),
	}}
	now, err := r.readToggle(ctx, e)
	if err != nil {
		return ledger.Look{}, err
	}
	if now == nil {
		p, _ := parsePlace(e.Where()) // it was read before
		out.Proven, err = r.seesProject(ctx, p.Project)
		return out, err
	}
	before, after := parseToggle(e.Before.JSON), parseToggle(e.After.JSON)
	full := *now
	now.known = now.compared(before, after)
	out.Now = now.image()
	out.Between = full.between(before, after)
	return out, nil
}

// compared reports whether the strategies are compared. An image that does not say them stands for every state
// with its switch; one that says them for exactly those, or, of the after-image that was not told, those that
// switching on may have made.
func (t *toggle) compared(before, after *toggle) bool {
	switch {
	case before == nil || after == nil || before.known == after.known:
		return before == nil && after == nil || before != nil && before.known || after != nil && after.known
	case before.known:
		return t.enabled != after.enabled || t.enabled == before.enabled || !t.madeBySwitchingOn(before)
	default:
		return t.enabled != before.enabled
	}
}

// madeBySwitchingOn reports whether the strategies are those of before and what `on` makes of them: if none
// is active, it adds one or, asked to, enables those that are disabled.
func (t *toggle) madeBySwitchingOn(before *toggle) bool {
	added := 0
	for i := range t.strategies {
		s := &t.strategies[i]
		was := before.find(s.id)
		switch {
		case was == nil:
			added++
		case !s.same(was) && (before.active() || !s.enabledSince(was)):
			return false
		}
	}
	kept := len(t.strategies)-added == len(before.strategies)
	return kept && (added == 0 || added == 1 && !before.active())
}

// between reports whether t is a state that an undo of ours passes through: each strategy is as before or as
// after, none of before is missing, and the switch is where one of the two has it. Without strategies there is
// but one call, and nothing between.
func (t *toggle) between(before, after *toggle) bool {
	if before == nil || after == nil || !before.known || t.enabled != before.enabled && t.enabled != after.enabled {
		return false
	}
	if !after.known {
		return t.enabled == before.enabled && t.madeBySwitchingOn(before)
	}
	for i := range t.strategies {
		s := &t.strategies[i]
		if !s.same(before.find(s.id)) && !s.same(after.find(s.id)) {
			return false
		}
	}
	return !slices.ContainsFunc(before.strategies, func(s strategy) bool { return t.find(s.id) == nil })
}

// readToggle reads what is there now; nil if the feature flag or the environment is not. For an archived flag
// the read by its name answers 404 and the read of its environment 200.
func (r *Remediator) readToggle(ctx context.Context, e *ledger.Entry) (*toggle, error) {
	p, field := parsePlace(e.Where())
	if field != "" {
		return nil, remediators.Denied("its resource cannot be read")
	}
	doc, found, err := r.get(ctx, p.feature())
	if err != nil {
		return nil, err
	}
	if !found {
		if _, there, err := r.get(ctx, p.environment()); err != nil || !there {
			return nil, err
		}
		return nil, errArchived
	}
	return findEnvironment(doc, p.Environment)
}

// findEnvironment reads one environment of a feature flag; nil if the flag has none of this name.
func findEnvironment(doc json.RawMessage, name string) (*toggle, error) {
	bad := remediators.Unusable(remediators.Reply{Status: http.StatusOK}, "the answer is no feature flag")
	var feature struct {
		Archived     bool              `json:"archived"`
		Environments []json.RawMessage `json:"environments"`
	}
	switch {
	case json.Unmarshal(doc, &feature) != nil || feature.Environments == nil:
		return nil, bad
	case feature.Archived:
		return nil, errArchived
	}
	for _, raw := range feature.Environments {
		if string(members(raw)["name"]) != string(text(name)) {
			continue
		}
		t := parseToggle(raw)
		if t == nil || !t.known {
			return nil, bad
		}
		return t, nil
	}
	return nil, nil
}

// seesProject reports whether the credential sees a project: then what is not found there is gone.
func (r *Remediator) seesProject(ctx context.Context, project string) (bool, error) {
	doc, found, err := r.get(ctx, api+"/projects")
	if err != nil || !found {
		if forbidden(err) {
			err = nil
		}
		return false, err
	}
	var list struct {
		Projects []struct {
			ID string `json:"id"`
		} `json:"projects"`
	}
	if json.Unmarshal(doc, &list) != nil {
		return false, remediators.Unusable(remediators.Reply{Status: http.StatusOK}, "the list of projects cannot be read")
	}
	for _, x := range list.Projects {
		if x.ID == project {
			return true, nil
		}
	}
	return false, nil
}

// toggleSteps are the calls that take a toggle back: when it is switched off again, first the switch, so that
// nobody sees it on without its strategies; when it is switched on again, last.
func toggleSteps(e *ledger.Entry, seen ledger.Look) ([]step, error) {
	p, field := parsePlace(e.Where())
	before, now := parseToggle(e.Before.JSON), parseToggle(seen.Now.JSON)
	switch {
	case field != "" || before == nil:
		return nil, remediators.Denied("the before-image is unknown or cannot be read: there is nothing to go back to")
	case now == nil:
		return nil, remediators.Denied("the feature flag or its environment is not there: there is nothing to switch")
	}
	list, err := strategySteps(p, before, now)
	if err != nil {
		return nil, err
	}
	switch {
	case now.enabled && !before.enabled:
		list = append([]step{newStep(http.MethodPost, p.environment()+"/off", nil)}, list...)
	case !now.enabled && before.enabled:
		list = append(list, newStep(http.MethodPost, p.environment()+"/on", nil))
	}
	return list, nil
}

// strategySteps bring the strategies back to what they were: those that came since are deleted, those that
// changed since are written, those that were only enabled since are disabled again. Where they are not known they are left alone.
func strategySteps(p place, before, now *toggle) ([]step, error) {
	if !before.known || !now.known {
		return nil, nil
	}
	if slices.ContainsFunc(before.strategies, func(s strategy) bool { return now.find(s.id) == nil }) {
		return nil, remediators.Denied("a strategy that was there before is gone, and would come back under another id only: a person does it")
	}
	if before.enabled && !now.enabled && !before.active() {
		return nil, remediators.Denied("it was on without an active strategy, and switching it on would add one")
	}
	var list []step
	for i := range now.strategies {
		s := &now.strategies[i]
		was, path := before.find(s.id), p.environment()+"/strategies/"+segment(s.id)
		switch {
		case was == nil:
			gone := newStep(http.MethodDelete, path, nil)
			gone.done = http.StatusNotFound
			list = append(list, gone)
		case s.enabledSince(was):
			list = append(list, newStep(http.MethodPatch, path, json.RawMessage(`[{"op":"replace","path":"/disabled","value":true}]`)))
		case !s.same(was):
			body := maps.Clone(was.doc)
			delete(body, "id")
			list = append(list, newStep(http.MethodPut, path, object(body)))
		}
	}
	return list, nil
}
