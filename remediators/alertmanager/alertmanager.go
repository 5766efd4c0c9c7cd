package alertmanager

import (
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// Kind is the kind of one silence.
const Kind = "alertmanager.silence"

// A Remediator serves the silences of one Alertmanager, by its API v2.
type Remediator struct {
	client *remediators.Client
	clock  ledger.Clock
}

// Factory makes the remediator of a system with remediator: alertmanager. Its url is what stands before
// /api/v2. It implements [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	if err := remediators.CheckBinding(b, "where Alertmanager answers, without /api/v2"); err != nil {
		return nil, err
	}
	return &Remediator{client: b.Client, clock: b.Clock}, nil
}

// Kinds implements [ledger.Remediator].
func (r *Remediator) Kinds() []string { return []string{Kind} }

// Check implements [ledger.Remediator].
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	if err := remediators.CheckKind(d, r.Kinds()...); err != nil {
		return ledger.Grading{}, err
	}
	id, err := checkResource(d)
	if err != nil {
		return ledger.Grading{}, err
	}
	before, err := parseImage("/before", d.Before)
	if err != nil {
		return ledger.Grading{}, err
	}
	after, err := parseImage("/after", d.After)
	if err != nil {
		return ledger.Grading{}, err
	}
	g := ledger.Grading{CanLook: true, ResourceKey: json.RawMessage("null")}
	if id != "" {
		g.ResourceKey = named(id)
	}
	g.Reversible, g.Warnings = r.grade(d, before, after)
	if why := r.client.Warning(); why != "" {
		g.Warnings = append(g.Warnings, why)
	}
	return g, nil
}

// checkResource returns the silence's id; "" while nobody knows it.
func checkResource(d *ledger.Draft) (id string, err error) {
	var members map[string]json.RawMessage
	if len(d.Resource) > 0 && json.Unmarshal(d.Resource, &members) != nil {
		return "", ledger.Invalid("/resource", "has to be an object")
	}
	for name := range members {
		if name != "id" {
			return "", ledger.Invalid("/resource", "has a member that is not known here; known is id")
		}
	}
	if raw := members["id"]; len(raw) > 0 && (json.Unmarshal(raw, &id) != nil || !uuidLike(id)) {
		return "", ledger.Invalid("/resource/id", "has to be a silence's id, a UUID in a string")
	}
	if id == "" {
		id = firstName(d)
	}
	if id == "" && (d.State == ledger.EntryApplied || d.Action != ledger.ActionCreate) {
		return "", ledger.Invalid("/resource/id", "is missing: it names the silence")
	}
	return id, nil
}

// grade says how completely the entry can be taken back, and what an operator should know of that.
func (r *Remediator) grade(d *ledger.Draft, before, after *silence) (ledger.Reversibility, []string) {
	const lifted = "when the silence is lifted, alerts that are still firing notify"
	switch {
	case d.Action == ledger.ActionCreate:
		return ledger.ReversibleExact, []string{lifted}
	case before == nil:
		return ledger.ReversibleCompensating, nil
	case !before.EndsAt.IsZero() && !before.EndsAt.After(r.clock()):
		return ledger.ReversibleNone, []string{"nothing takes this back: the before-image is over, and Alertmanager takes no silence whose end is past"}
	}
	until := "it can be taken back until " + before.EndsAt.UTC().Format(time.RFC3339) + ", the end of the before-image; Alertmanager takes no silence whose end is past"
	if missing := before.lacks(); missing != "" && d.Action == ledger.ActionDelete {
		return ledger.ReversibleNone, []string{"nothing takes this back: the before-image lacks " + missing}
	}
	switch {
	case d.Action == ledger.ActionDelete:
		return ledger.ReversibleCompensating, []string{until, "it comes back under another id"}
	case before.EndsAt.IsZero():
		return ledger.ReversibleExact, []string{lifted}
	case after != nil && !after.sameMatchers(before):
		return ledger.ReversibleCompensating, []string{until, lifted, "changed matchers: the undo gives the silence another id"}
	default:
		return ledger.ReversibleExact, []string{until, lifted}
	}
}

// Renamed implements [ledger.Renamer]: an update of matchers or of a start that has passed makes Alertmanager
// expire the silence and answer with another one. The after-image says its id.
func (r *Remediator) Renamed(d *ledger.Draft) json.RawMessage {
	after, err := parseImage("/after", d.After)
	if err != nil || after == nil || d.Action != ledger.ActionUpdate || !uuidLike(after.ID) || after.ID == firstName(d) {
		return nil
	}
	return named(after.ID)
}

// Preview implements [ledger.Remediator].
func (r *Remediator) Preview(e *ledger.Entry, seen ledger.Look) (ledger.Request, error) {
	s, err := r.ready(e, seen)
	if err != nil {
		return ledger.Request{}, err
	}
	return ledger.Request{
		Method: s.call.Method, URL: r.client.URL(s.call), Header: s.call.Header, Body: json.RawMessage(s.call.Body),
		Credential: r.client.Slot(), Repeatable: s.repeatable,
	}, nil
}

// firstName is the id under which the entry was recorded; "" while nobody knows it.
func firstName(d *ledger.Draft) string {
	if id := idOf(d.Resource); id != "" {
		return id
	}
	if d.Action == ledger.ActionCreate {
		return idOf(d.After.JSON)
	}
	return idOf(d.Before.JSON)
}

// nameOf is the id under which the silence has to be now; "" while nobody knows it.
func (r *Remediator) nameOf(e *ledger.Entry) string {
	if e.Alias != nil {
		return idOf(e.Alias.Resource)
	}
	if name := r.Renamed(&e.Draft); name != nil {
		return idOf(name)
	}
	return firstName(&e.Draft)
}

func idOf(raw json.RawMessage) string {
	var doc struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &doc) != nil || !uuidLike(doc.ID) {
		return ""
	}
	return doc.ID
}

func named(id string) json.RawMessage { return json.RawMessage(`{"id":"` + id + `"}`) }

// uuid is the form of a silence's id, so that it may stand in a path as it is.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func uuidLike(s string) bool { return uuid.MatchString(s) }

func get(path, query string) remediators.Call {
	return remediators.Call{Method: http.MethodGet, Path: path, Query: query}
}
