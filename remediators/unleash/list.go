package unleash

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	searchPage = 100 // feature flags; the most that Unleash gives
	eventPage  = 200
	maxPages   = 50 // of one list
)

// switching are the types of the events that change a toggle.
const switching = "IS_ANY_OF:feature-environment-enabled,feature-environment-disabled,feature-strategy-add,feature-strategy-update,feature-strategy-remove"

// projectOf is the project that a place names; "" if it names none.
func projectOf(raw json.RawMessage) string {
	var p place
	if json.Unmarshal(raw, &p) != nil || !urlName.MatchString(p.Project) {
		return ""
	}
	return p.Project
}

// Place implements [ledger.Lister]: of feature flags and toggles the project.
func (r *Remediator) Place(kind string, place json.RawMessage) json.RawMessage {
	project := projectOf(place)
	if kind == KindAddon || project == "" {
		return json.RawMessage("{}")
	}
	return object(map[string]json.RawMessage{"project": text(project)})
}

// List implements [ledger.Lister]: feature flags and toggles of one project or, without its name, of all.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	out := ledger.Listing{Place: r.Place(kind, place)}
	if kind == KindAddon {
		return r.rollAddons(ctx, out)
	}
	query := url.Values{"limit": {strconv.Itoa(searchPage)}}
	if project := projectOf(place); project != "" {
		query.Set("project", "IS:"+project)
	}
	flags, whole, err := r.all(ctx, api+"/search/features", "features", query)
	if out.Part = !whole; err != nil {
		return out, err
	}
	if kind == KindFlag {
		out.Items = flagsOf(flags)
		return out, nil
	}
	return r.rollToggles(ctx, query, flags, out)
}

// rollAddons lists the addons. Unleash says when one was made, not when it was changed.
func (r *Remediator) rollAddons(ctx context.Context, out ledger.Listing) (ledger.Listing, error) {
	list, visible, err := r.listAddons(ctx)
	if err != nil {
		return out, err
	}
	if !visible {
		out.Why = "the addons are not visible to this credential"
	}
	for _, raw := range list {
		id, ok := addonID(raw)
		if !ok || id == 0 {
			out.Part = true // one that cannot be told
			continue
		}
		out.Items = append(out.Items, ledger.Listed{Resource: addonName(id), Created: timeOf(raw, "createdAt"), Shows: raw})
	}
	return out, nil
}

// rollToggles lists every feature flag in every environment. When one was switched last stands in the event log.
func (r *Remediator) rollToggles(ctx context.Context, query url.Values, flags []json.RawMessage, out ledger.Listing) (ledger.Listing, error) {
	query.Set("limit", strconv.Itoa(eventPage))
	query.Set("type", switching)
	events, told, err := r.all(ctx, api+"/search/events", "events", query)
	if err != nil && !forbidden(err) {
		return out, err
	}
	out.Part = out.Part || !told
	last := lastSwitched(events)
	for _, raw := range flags {
		out.Items = append(out.Items, togglesOf(raw, last)...)
	}
	return out, nil
}

// all reads the pages of a search; whole: those are all that there are.
func (r *Remediator) all(ctx context.Context, path, member string, query url.Values) (list []json.RawMessage, whole bool, err error) {
	for range maxPages {
		query.Set("offset", strconv.Itoa(len(list)))
		reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: path, Query: query.Encode()})
		if err != nil || reply.Status == http.StatusNotFound {
			return nil, false, err
		}
		doc, why := remediators.Document(reply)
		var page []json.RawMessage
		var total int
		m := members(doc)
		if reply.Status != http.StatusOK || why != "" || json.Unmarshal(m[member], &page) != nil || json.Unmarshal(m["total"], &total) != nil {
			return nil, false, remediators.Unusable(reply, "the list cannot be read: answered "+strconv.Itoa(reply.Status))
		}
		list = append(list, page...)
		if len(page) == 0 || len(list) >= total {
			return list, len(list) >= total, nil
		}
	}
	return list, false, nil
}

// lastSwitched is when each toggle was switched last, or had its strategies changed.
func lastSwitched(events []json.RawMessage) map[place]time.Time {
	out := map[place]time.Time{}
	for _, raw := range events {
		var e struct {
			Project, Environment string
			Feature              string `json:"featureName"`
		}
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		at, p := timeOf(raw, "createdAt"), place{e.Project, e.Feature, e.Environment}
		if at.After(out[p]) {
			out[p] = at
		}
	}
	return out
}

// togglesOf are the toggles of one feature flag.
func togglesOf(raw json.RawMessage, last map[place]time.Time) (list []ledger.Listed) {
	var f struct {
		Name, Project string
		Environments  []json.RawMessage
	}
	_ = json.Unmarshal(raw, &f) // what is not read has no environments
	for _, env := range f.Environments {
		var e struct{ Name string }
		_ = json.Unmarshal(env, &e) // likewise
		p := place{f.Project, f.Name, e.Name}
		named, _ := json.Marshal(p) // three strings
		shows := object(map[string]json.RawMessage{"name": text(f.Name), "environment": env})
		list = append(list, ledger.Listed{Resource: named, Created: timeOf(raw, "createdAt"), Changed: last[p], Shows: shows})
	}
	return list
}

// timeOf reads a member that is a time; zero: there is none.
func timeOf(raw json.RawMessage, member string) time.Time {
	var at time.Time
	if json.Unmarshal(members(raw)[member], &at) != nil {
		return time.Time{}
	}
	return at.UTC()
}

var _ ledger.Lister = (*Remediator)(nil)
