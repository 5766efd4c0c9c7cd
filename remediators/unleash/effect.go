package unleash

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// An effect is what a call of Unleash's API changes.
type effect struct {
	kind     string
	action   ledger.Action
	resource json.RawMessage
	names    map[string]string // members of the resource that the answer brings
}

// Derive implements [remediators.Deriver]. Of an addon that is changed or deleted the before-image that is taken shows
// masks, which the entry says: a script that has the real values says them in before.
func (r *Remediator) Derive(_ context.Context, c ledger.EffectCall, d *ledger.Draft) (ledger.Derived, error) {
	rest, ok := strings.CutPrefix(c.Path, api+"/")
	if !ok {
		return ledger.Derived{}, nil
	}
	var path []string
	for part := range strings.SplitSeq(rest, "/") {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return ledger.Derived{}, nil
		}
		path = append(path, plain)
	}
	x := effectOf(c.Method, path, c.Body)
	if x == nil {
		return ledger.Derived{}, nil
	}
	if ok, err := remediators.Say(d, x.kind, x.action, x.resource); !ok {
		return ledger.Derived{}, err
	}
	return ledger.Derived{Names: x.names}, nil
}

// actionOf is what a method does to what is there already.
var actionOf = map[string]ledger.Action{
	http.MethodPut: ledger.ActionUpdate, http.MethodPatch: ledger.ActionUpdate, http.MethodDelete: ledger.ActionDelete,
}

// effectOf reads a call; nil: it is none that can be taken back here.
func effectOf(method string, path []string, body []byte) *effect {
	switch {
	case path[0] == "addons":
		return effectOnAddon(method, path[1:])
	case len(path) >= 3 && path[0] == "projects" && path[2] == "features":
		return effectOnFeature(method, place{Project: path[1]}, path[3:], body)
	}
	return nil
}

// effectOnAddon reads a call of the addons.
func effectOnAddon(method string, path []string) *effect {
	change, changes := actionOf[method]
	switch {
	case len(path) == 0 && method == http.MethodPost:
		return &effect{KindAddon, ledger.ActionCreate, json.RawMessage("{}"), map[string]string{"id": "/id"}}
	case len(path) == 1 && changes && method != http.MethodPatch:
		if id, err := strconv.ParseInt(path[0], 10, 64); err == nil && id > 0 {
			return &effect{KindAddon, change, addonName(id), nil}
		}
	}
	return nil
}

// effectOnFeature reads a call below the feature flags of a project.
func effectOnFeature(method string, p place, path []string, body []byte) *effect {
	change, changes := actionOf[method]
	switch {
	case len(path) == 0 && method == http.MethodPost:
		var doc struct{ Name string }
		if json.Unmarshal(body, &doc) != nil || !urlName.MatchString(doc.Name) {
			return nil
		}
		p.Feature = doc.Name
		return &effect{KindFlag, ledger.ActionCreate, flagName(p), nil}
	case len(path) == 0:
		return nil
	}
	p.Feature = path[0]
	switch {
	case len(path) == 1 && changes:
		return &effect{KindFlag, change, flagName(p), nil}
	case len(path) >= 4 && path[1] == "environments" && switches(method, path[3:]):
		p.Environment = path[2]
		named, _ := json.Marshal(p) // three strings
		return &effect{KindToggle, ledger.ActionUpdate, named, nil}
	}
	return nil
}

// switches reports whether a call below an environment changes the toggle: its switch, or one of its strategies.
func switches(method string, path []string) bool {
	post := method == http.MethodPost
	switch len(path) {
	case 1:
		return post && slices.Contains([]string{"on", "off", "strategies"}, path[0])
	case 2:
		return actionOf[method] != "" && path[0] == "strategies"
	default:
		return false
	}
}

var _ remediators.Deriver = (*Remediator)(nil)
