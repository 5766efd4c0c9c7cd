package unleash

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// writable are the members of an addon that are sent; id and createdAt are the server's.
var writable = []string{"provider", "description", "enabled", "parameters", "events", "projects", "environments"}

// addonVolatile are the members that change by themselves, or with the name.
var addonVolatile = []string{"/id", "/createdAt"}

// addonDefaults are what Unleash keeps for members that a script left out.
var addonDefaults = map[string]json.RawMessage{
	"projects": json.RawMessage("[]"), "environments": json.RawMessage("[]"), "description": json.RawMessage(`""`),
}

// addonID returns the number of an addon; 0 while nobody knows it.
func addonID(raw json.RawMessage) (id int64, ok bool) {
	m := members(raw)
	v, there := m["id"]
	if !there || string(v) == "null" {
		return 0, m != nil
	}
	id, err := strconv.ParseInt(strings.Trim(string(v), `"`), 10, 64)
	return id, err == nil && id > 0
}

func addonName(id int64) json.RawMessage {
	return json.RawMessage(`{"id":` + strconv.FormatInt(id, 10) + `}`)
}

func addonPath(id int64) string { return api + "/addons/" + strconv.FormatInt(id, 10) }

// nameOfAddon is the number that the addon has to have now; 0 while nobody knows it.
func nameOfAddon(e *ledger.Entry) int64 {
	for _, raw := range []json.RawMessage{e.Where(), e.Before.JSON, e.After.JSON} {
		if id, ok := addonID(raw); ok && id > 0 {
			return id
		}
	}
	return 0
}

// checkAddon grades an entry offline.
func checkAddon(d *ledger.Draft) (ledger.Grading, error) {
	id, err := checkAddonName(d)
	if err != nil {
		return ledger.Grading{}, err
	}
	for field, i := range map[string]ledger.Image{"/before": d.Before, "/after": d.After} {
		if i.Known() && !i.IsAbsent() && members(i.JSON) == nil {
			return ledger.Grading{}, ledger.Invalid(field, "is an addon: an object with provider, enabled, parameters and events")
		}
	}
	g := ledger.Grading{CanLook: true, Reversible: ledger.ReversibleExact, ResourceKey: json.RawMessage("null")}
	if id > 0 {
		g.ResourceKey = addonName(id)
	}
	gradeAddon(&g, d)
	return g, nil
}

// checkAddonName returns the addon's number; 0 while nobody knows it.
func checkAddonName(d *ledger.Draft) (int64, error) {
	id, ok := addonID(d.Resource)
	for name := range members(d.Resource) {
		ok = ok && name == "id"
	}
	if !ok {
		return 0, ledger.Invalid("/resource", "is the addon's id and nothing else: {\"id\": 1}")
	}
	if id == 0 {
		id = nameOfAddon(&ledger.Entry{Draft: *d})
	}
	if id == 0 && (d.State == ledger.EntryApplied || d.Action != ledger.ActionCreate) {
		return 0, ledger.Invalid("/resource/id", "is missing: it names the addon")
	}
	return id, nil
}

// gradeAddon says how completely the entry can be taken back.
func gradeAddon(g *ledger.Grading, d *ledger.Draft) {
	if d.Action == ledger.ActionCreate {
		return
	}
	if d.Action == ledger.ActionDelete {
		g.Reversible = ledger.ReversibleCompensating
		g.Warnings = append(g.Warnings, "it comes back under another id")
	}
	if p := maskIn(d.Before.JSON); p != "" {
		g.Reversible = ledger.ReversibleManual
		g.Warnings = append(g.Warnings, "Unleash shows a mask in place of "+p+", and a mask is never written back: give the real value in before, or a person undoes it")
	} else if d.Capture {
		g.Warnings = append(g.Warnings, "capture sees masks in place of url, authorization and other secrets: the undo will be blocked; give before with the real values")
	}
}

// maskIn returns where an addon holds a mask in place of a value; "" if nowhere.
func maskIn(raw json.RawMessage) string {
	if masked := maskedParameters(raw); len(masked) > 0 {
		return masked[0]
	}
	return ""
}

// maskedParameters returns the pointers of the parameters that are masked, sorted.
func maskedParameters(raw json.RawMessage) (pointers []string) {
	parameters := members(members(raw)["parameters"])
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		var s string
		if json.Unmarshal(parameters[name], &s) == nil && remediators.IsMask(s) {
			pointers = append(pointers, "/parameters/"+strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"))
		}
	}
	return pointers
}

// canonicalAddon fills in what Unleash keeps for members that a script left out.
func canonicalAddon(i ledger.Image) ledger.Image {
	m := members(i.JSON)
	if m == nil {
		return i
	}
	for name, v := range addonDefaults {
		if !says(m, name) {
			m[name] = v
		}
	}
	return ledger.Image{JSON: object(m)}
}

// lookAddon reads an addon. What it masks is not compared; an entry that changed nothing else cannot be looked
// at at all: neither its undo nor somebody else's change can be seen.
func (r *Remediator) lookAddon(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	id := nameOfAddon(e)
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: slices.Concat(e.Volatile, addonVolatile),
		Unordered: slices.Concat(e.Unordered, []string{"/events", "/projects", "/environments"}),
	}}
	if id > 0 {
		doc, found, err := r.get(ctx, addonPath(id))
		if err != nil {
			return ledger.Look{}, err
		}
		if found {
			return seenAddon(e, out, doc), nil
		}
	}
	wanted := e.Before
	if e.Action == ledger.ActionCreate {
		wanted = e.After
	}
	twin, listed, err := r.findAddon(ctx, e, wanted)
	out.Proven = listed
	switch {
	case err != nil:
		return ledger.Look{}, err
	case twin != nil && (id == 0 || e.Action == ledger.ActionDelete):
		name, _ := addonID(twin)
		out.Alias = addonName(name)
		return seenAddon(e, out, twin), nil
	case id == 0 && !wanted.Known() && e.Seq > 0: // of one that is being recorded, nothing is there yet
		return ledger.Look{}, nil
	}
	return out, nil
}

// seenAddon is a look at an addon that is there.
func seenAddon(e *ledger.Entry, out ledger.Look, doc json.RawMessage) ledger.Look {
	out.Now = canonicalAddon(ledger.Image{JSON: doc})
	out.Scope.Masked = slices.Concat(out.Scope.Masked, maskedParameters(doc))
	before, after := canonicalAddon(e.Before), canonicalAddon(e.After)
	c := ledger.Compare(before, after, out.Now, out.Scope)
	if c.Blind && !same(before.JSON, after.JSON) && e.Action == ledger.ActionUpdate {
		return ledger.Look{} // all that it changed is masked
	}
	return out
}

// findAddon looks for the one addon that says what an image says, as far as it is shown. listed reports that
// the list could be read, so that what is not in it is gone. Two are an error: nobody knows which is meant.
func (r *Remediator) findAddon(ctx context.Context, e *ledger.Entry, wanted ledger.Image) (twin json.RawMessage, listed bool, err error) {
	list, listed, err := r.listAddons(ctx)
	if err != nil || !listed {
		return nil, false, err
	}
	m := members(wanted.JSON)
	if m == nil || !says(m, "provider") || !says(m, "parameters") || !says(m, "events") {
		return nil, true, nil // too little to recognize it by
	}
	scope := ledger.Scope{Volatile: addonVolatile, Unordered: []string{"/events", "/projects", "/environments"}}
	for _, raw := range list {
		scope.Masked = slices.Concat(e.Masked, maskedParameters(raw))
		if !ledger.Compare(canonicalAddon(wanted), ledger.Image{}, canonicalAddon(ledger.Image{JSON: raw}), scope).Before {
			continue
		}
		if twin != nil {
			return nil, true, &ledger.CallError{Class: ledger.CallAnswered, Detail: "two addons say the same: nobody knows which is meant"}
		}
		twin = raw
	}
	return twin, true, nil
}

// listAddons lists the addons; listed is false where they are not visible.
func (r *Remediator) listAddons(ctx context.Context) (list []json.RawMessage, listed bool, err error) {
	doc, found, err := r.get(ctx, api+"/addons")
	if err != nil || !found {
		if forbidden(err) {
			err = nil
		}
		return nil, false, err
	}
	var all struct {
		Addons []json.RawMessage `json:"addons"`
	}
	if json.Unmarshal(doc, &all) != nil || all.Addons == nil {
		return nil, false, remediators.Unusable(remediators.Reply{Status: http.StatusOK}, "the list of addons cannot be read")
	}
	return all.Addons, true, nil
}

// addonIsBack looks once more, just before a POST that would make a second one of an addon that is there.
func (r *Remediator) addonIsBack(ctx context.Context, e *ledger.Entry) (bool, error) {
	twin, _, err := r.findAddon(ctx, e, e.Before)
	return twin != nil && err == nil, err
}

// addonSteps is the one call that takes an addon back.
func addonSteps(e *ledger.Entry, seen ledger.Look) ([]step, error) {
	id := nameOfAddon(e)
	if found, ok := addonID(seen.Alias); ok && found > 0 {
		id = found
	}
	if e.Before.IsAbsent() {
		if id == 0 {
			return nil, remediators.Denied("nobody has said the addon's id: rollback applied ENTRY --resource '{\"id\":1}'")
		}
		return []step{newStep(http.MethodDelete, addonPath(id), nil)}, nil
	}
	body, err := addonBody(e, seen)
	switch {
	case err != nil:
		return nil, err
	case seen.Known && seen.Now.IsAbsent():
		s := newStep(http.MethodPost, api+"/addons", body)
		s.once = true
		return []step{s}, nil
	case id == 0:
		return nil, remediators.Denied("nobody has said the addon's id")
	default:
		return []step{newStep(http.MethodPut, addonPath(id), body)}, nil
	}
}

// addonBody is the before-image as it is written: whole, since a PUT replaces and a POST needs all of it, and
// never with a mask in it. Unleash takes a mask in a PUT for "as it is", and stores it literally from a POST.
func addonBody(e *ledger.Entry, seen ledger.Look) (json.RawMessage, error) {
	before := members(e.Before.JSON)
	if before == nil {
		return nil, remediators.Denied("the before-image is unknown: there is nothing to bring back")
	}
	if p := maskIn(e.Before.JSON); p != "" {
		return nil, remediators.Denied("secret_missing: " + p)
	}
	now, after := members(seen.Now.JSON), members(e.After.JSON)
	body := map[string]json.RawMessage{}
	for _, name := range writable {
		for _, from := range []map[string]json.RawMessage{before, now, addonDefaults} {
			if says(from, name) {
				body[name] = from[name]
				break
			}
		}
		if body[name] == nil {
			return nil, remediators.Denied("the before-image lacks " + name)
		}
	}
	parameters := members(body["parameters"])
	if parameters == nil {
		return nil, remediators.Denied("the before-image's parameters are no object")
	}
	for _, pointer := range maskedParameters(seen.Now.JSON) {
		name := pointer[len("/parameters/"):]
		if !says(parameters, name) && !says(members(after["parameters"]), name) {
			return nil, remediators.Denied("secret_missing: " + pointer) // it would be lost with the PUT
		}
	}
	if p := maskIn(object(body)); p != "" {
		return nil, remediators.Denied("secret_missing: " + p) // taken from what Unleash shows
	}
	maps.DeleteFunc(parameters, func(_ string, v json.RawMessage) bool { return string(v) == `""` }) // Unleash refuses empty ones
	body["parameters"] = object(parameters)
	return object(body), nil
}

// renamedAddon says under which id an addon came back.
func renamedAddon(ans ledger.Answer, e *ledger.Entry, reply remediators.Reply) ledger.Answer {
	if reply.Status != http.StatusCreated {
		return ans
	}
	id, ok := addonID(reply.Body)
	was := nameOfAddon(e)
	if !ok || id == 0 || id == was {
		return ans // the look afterwards finds it by what it says
	}
	ans.Alias = addonName(id)
	ans.Residue = []string{"the addon has the id " + strconv.FormatInt(id, 10) + " now, it was " + strconv.FormatInt(was, 10) + ": whoever uses the old one has to be told"}
	return ans
}
