package unleash

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// flagMembers are those of a feature flag that an entry answers for: what is the same in every environment. The switch
// and the strategies of one environment are a toggle's.
var flagMembers = []string{"description", "type", "impressionData", "stale"}

// archivedImage is a feature flag that is archived, as an entry that made it sees it.
var archivedImage = ledger.Image{JSON: json.RawMessage(`{"archived":true}`)}

// parseFlag reads the name of a feature flag.
func parseFlag(raw json.RawMessage) (place, bool) {
	var p place
	m := members(raw)
	ok := len(m) == 2 && says(m, "project") && says(m, "feature") && json.Unmarshal(raw, &p) == nil
	return p, ok && urlName.MatchString(p.Project) && urlName.MatchString(p.Feature)
}

// flagName is what names a feature flag.
func flagName(p place) json.RawMessage {
	return object(map[string]json.RawMessage{"project": text(p.Project), "feature": text(p.Feature)})
}

// archive is where a feature flag is after it was deleted, until it is deleted there too.
func (p place) archive() string { return api + "/archive/" + segment(p.Feature) }

// canonicalFlag leaves out what an entry does not answer for.
func canonicalFlag(i ledger.Image) ledger.Image {
	m := members(i.JSON)
	if m == nil || says(m, "archived") && string(m["archived"]) == "true" {
		return i
	}
	maps.DeleteFunc(m, func(name string, _ json.RawMessage) bool { return !slices.Contains(flagMembers, name) })
	return ledger.Image{JSON: object(m)}
}

// checkFlag grades an entry offline.
func (r *Remediator) checkFlag(d *ledger.Draft) (ledger.Grading, error) {
	p, ok := parseFlag(d.Resource)
	if !ok {
		return ledger.Grading{}, ledger.Invalid("/resource", "is wrong: a feature flag is named by project and feature, names as Unleash takes them, and nothing else")
	}
	for field, i := range map[string]ledger.Image{"/before": d.Before, "/after": d.After} {
		if i.Known() && !i.IsAbsent() && members(i.JSON) == nil {
			return ledger.Grading{}, ledger.Invalid(field, "is a feature flag: an object with description, type, impressionData and stale")
		}
	}
	g := ledger.Grading{CanLook: true, Reversible: ledger.ReversibleExact, ResourceKey: flagName(p)}
	calls := map[ledger.Action][]step{
		ledger.ActionCreate: {newStep(http.MethodDelete, p.feature(), nil), newStep(http.MethodDelete, p.archive(), nil)},
		ledger.ActionUpdate: {newStep(http.MethodPatch, p.feature(), nil)},
		ledger.ActionDelete: {newStep(http.MethodPost, p.revive(), nil)},
	}
	if d.Action == ledger.ActionDelete {
		g.Reversible = ledger.ReversibleEquivalent
		g.Warnings = append(g.Warnings, "it comes back switched off in every environment, and not at all once somebody has deleted it from the archive")
	}
	for _, s := range calls[d.Action] {
		if r.client.Permits(s.call) != nil {
			why := "its undo will be refused: " + s.call.Method + " " + s.call.Path + " is not in the system's allow list"
			g.Denied = append(g.Denied, ledger.Denial{Field: "/resource", Msg: why})
			g.Warnings = append(g.Warnings, why)
		}
	}
	return g, nil
}

func (p place) revive() string { return api + "/archive/revive/" + segment(p.Feature) }

// lookFlag reads a feature flag. Archived is absent for an entry that archived it; for one that made it, it is a state
// between there and gone; any other cannot be looked at before somebody revives it.
func (r *Remediator) lookFlag(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	p, ok := parseFlag(e.Where())
	if !ok {
		return ledger.Look{}, remediators.Denied("its resource cannot be read")
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: e.Unordered,
	}}
	doc, found, err := r.get(ctx, p.feature())
	if err != nil || found {
		out.Now = canonicalFlag(ledger.Image{JSON: doc})
		return out, err
	}
	archived, err := r.isArchived(ctx, p)
	switch {
	case err != nil:
		return ledger.Look{}, err
	case archived && e.Action == ledger.ActionCreate && e.Seq > 0:
		out.Now, out.Between = archivedImage, true
		return out, nil
	case archived && e.Action == ledger.ActionDelete:
		out.Proven = true
		return out, nil
	case archived:
		return ledger.Look{}, errArchived
	}
	if e.Action == ledger.ActionDelete {
		out.Lost = "it was deleted from the archive too, and nothing brings it back"
	}
	out.Proven, err = r.seesProject(ctx, p.Project)
	return out, err
}

// isArchived looks for a feature flag in the archive.
func (r *Remediator) isArchived(ctx context.Context, p place) (bool, error) {
	list, _, err := r.all(ctx, api+"/search/features", "features", url.Values{
		"archived": {"IS:true"}, "project": {"IS:" + p.Project}, "query": {p.Feature}, "limit": {"100"},
	})
	return slices.ContainsFunc(list, func(raw json.RawMessage) bool { return string(members(raw)["name"]) == string(text(p.Feature)) }), err
}

// flagSteps are the calls that take a feature flag back. One that was made goes from the archive too: there it would
// keep its name from whoever makes it again.
func flagSteps(e *ledger.Entry, seen ledger.Look) ([]step, error) {
	p, ok := parseFlag(e.Where())
	before := members(e.Before.JSON)
	switch {
	case !ok:
		return nil, remediators.Denied("its resource cannot be read")
	case e.Before.IsAbsent():
		list := []step{newStep(http.MethodDelete, p.feature(), nil), newStep(http.MethodDelete, p.archive(), nil)}
		if says(members(seen.Now.JSON), "archived") {
			return list[1:], nil
		}
		return list, nil
	case seen.Now.IsAbsent():
		return []step{newStep(http.MethodPost, p.revive(), nil)}, nil
	case before == nil:
		return nil, remediators.Denied("the before-image is unknown: there is nothing to bring back")
	}
	var patch []map[string]json.RawMessage
	for _, name := range flagMembers {
		if v, there := before[name]; there && !same(v, members(seen.Now.JSON)[name]) {
			patch = append(patch, map[string]json.RawMessage{"op": text("add"), "path": text("/" + name), "value": v})
		}
	}
	body, err := json.Marshal(patch)
	return []step{newStep(http.MethodPatch, p.feature(), body)}, err
}

// flagsOf are the feature flags of a list.
func flagsOf(list []json.RawMessage) (out []ledger.Listed) {
	for _, raw := range list {
		var f struct{ Name, Project string }
		_ = json.Unmarshal(raw, &f) // what is not read has no name, and names nothing
		out = append(out, ledger.Listed{Resource: flagName(place{Project: f.Project, Feature: f.Name}), Created: timeOf(raw, "createdAt"), Shows: raw})
	}
	return out
}
