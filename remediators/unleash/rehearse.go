package unleash

import (
	"encoding/json"
	"net/http"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Whoami implements [remediators.Whoamist]. When a token ends is shown only together with all the others.
func (r *Remediator) Whoami() *remediators.WhoamiConfig {
	return &remediators.WhoamiConfig{Path: api + "/projects"}
}

// Rehearse implements [ledger.Rehearser]: a feature flag that nobody asks for, its switch, and a webhook that is off.
func (r *Remediator) Rehearse(kind, name string, place json.RawMessage) ledger.Canary {
	switch kind {
	case KindAddon:
		return addonCanary(name)
	case KindFlag:
		return flagCanary(name, projectOf(place))
	default:
		return toggleCanary(name, placeOf(place))
	}
}

// placeOf reads the members of a place that it has.
func placeOf(raw json.RawMessage) (p place) {
	if json.Unmarshal(raw, &p) != nil {
		return place{}
	}
	return p
}

func toCall(s step) ledger.EffectCall {
	return ledger.EffectCall{Method: s.call.Method, Path: s.call.Path, Header: s.call.Header, Body: s.call.Body}
}

// makeFlag is the call that makes the canary's feature flag.
func makeFlag(p place) ledger.EffectCall {
	body := object(map[string]json.RawMessage{"name": text(p.Feature), "type": text("operational"), "description": text("made by a rehearsal")})
	return toCall(newStep(http.MethodPost, p.project()+"/features", body))
}

func flagCanary(name, project string) ledger.Canary {
	if project == "" {
		return ledger.Canary{Why: "nobody says where: it needs project"}
	}
	p := place{Project: project, Feature: name}
	return ledger.Canary{Resource: flagName(p), CallFunc: func(a ledger.Action, _ json.RawMessage) (ledger.EffectCall, error) {
		if a == ledger.ActionCreate {
			return makeFlag(p), nil
		}
		return toCall(newStep(http.MethodPatch, p.feature(), json.RawMessage(`[{"op":"replace","path":"/description","value":"changed by a rehearsal"}]`))), nil
	}}
}

// toggleCanary switches a feature flag of its own on. Nobody asks for it, and nobody is served by it.
func toggleCanary(name string, p place) ledger.Canary {
	p.Feature = name
	resource, _ := json.Marshal(p) // three strings
	if _, field := parsePlace(resource); field != "" {
		return ledger.Canary{Why: "nobody says where: it needs project and environment"}
	}
	return ledger.Canary{
		Resource: resource, MadeAs: &ledger.CanaryMade{Kind: KindFlag, Resource: flagName(p)},
		CallFunc: func(a ledger.Action, _ json.RawMessage) (ledger.EffectCall, error) {
			if a == ledger.ActionCreate {
				return makeFlag(p), nil
			}
			return toCall(newStep(http.MethodPost, p.environment()+"/on", nil)), nil
		},
	}
}

// addonCanary is a webhook that is off, and leads nowhere. A read masks where it leads, so its change says what it finds.
func addonCanary(name string) ledger.Canary {
	doc := func(description string) json.RawMessage {
		return object(map[string]json.RawMessage{
			"provider": text("webhook"), "description": text(name + ": " + description), "enabled": json.RawMessage("false"),
			"parameters": object(map[string]json.RawMessage{"url": text("https://" + name + ".invalid/")}),
			"events":     json.RawMessage(`["feature-created"]`), "projects": json.RawMessage("[]"), "environments": json.RawMessage("[]"),
		})
	}
	made, changed := doc("made by a rehearsal"), doc("changed by a rehearsal")
	return ledger.Canary{
		Resource: json.RawMessage("{}"), Before: ledger.Image{JSON: made},
		CallFunc: func(a ledger.Action, resource json.RawMessage) (ledger.EffectCall, error) {
			if a == ledger.ActionCreate {
				return toCall(newStep(http.MethodPost, api+"/addons", made)), nil
			}
			id, _ := addonID(resource) // 0 has a path too, which is held to what may be sent
			return toCall(newStep(http.MethodPut, addonPath(id), changed)), nil
		},
	}
}

var (
	_ ledger.Rehearser     = (*Remediator)(nil)
	_ remediators.Whoamist = (*Remediator)(nil)
)
