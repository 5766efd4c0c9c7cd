package httpapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
	"sideledger/remediators/windowtest"
)

// A called is a call of a script that the ledger makes, of a kind whose rehearsal does not make it.
type called struct {
	kind, place string // place: of its list
	card        func() cards.Card
	seed        []string // "METHOD /path body" by hand, before
	call        string   // as seed
	action      ledger.Action
	want        string // the resource
	outcome     ledger.Outcome
	held        int // how many the list has after the call
}

const (
	googleJobs = "/v1/projects/shop/locations/europe-west1/jobs"
	fliptFlags = "/api/v2/environments/production/namespaces/default/resources"
	aws        = `{"GroupName":"shop","ScheduleExpression":"rate(5 minutes)","FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":"arn:aws:sqs:x","RoleArn":"arn:aws:iam:y"}}`
	googleJob  = "POST " + googleJobs + ` {"name":"projects/shop/locations/europe-west1/jobs/import","schedule":"0 3 * * *","httpTarget":{"uri":"https://a.example.com"}}`
	google     = `{"project":"shop","location":"europe-west1"}`
	configCat1 = "/v1/environments/e1/settings/42/value"
	configCat2 = "/v2/environments/e1/settings/42/value"
	flagsmith  = "/api/__future__/environments/e1/features/7/"
	downtime   = `POST /api/v2/downtime {"data":{"type":"downtime","attributes":{"scope":"env:a","monitor_identifier":{"monitor_id":1},"schedule":{"end":"2099-01-01T00:00:00Z"}}}}`
)

func flipt(method, typ, name string) string {
	return method + " " + fliptFlags + ` {"key":"bulk","payload":{"@type":"` + typ + `","key":"bulk","name":"` + name + `"}}`
}

// callsOfProfiles are the switches, and what takes something away.
var callsOfProfiles = []called{
	{
		kind: "airflow.dag_pause", card: cards.Airflow, seed: []string{`PUT /dags/import {"dag_id":"import","is_paused":false,"catchup":false}`, `PUT /dags/other {"dag_id":"other","is_paused":false}`},
		call: `PATCH /dags/import?update_mask=is_paused {"is_paused":true}`, action: ledger.ActionUpdate, want: `{"dag":"import"}`, held: 1,
	},
	{
		kind: "airflow.variable", card: cards.Airflow, seed: []string{`POST /variables {"key":"limit","value":"1","team_name":"a"}`},
		call: `DELETE /variables/limit`, action: ledger.ActionDelete, want: `{"key":"limit"}`,
	},
	{
		kind: "appconfig.key", card: cards.AppConfig, seed: []string{`PUT /kv/a%2Fb?api-version=1.0 {"value":"x","tags":{"a":"b"}}`},
		call: `DELETE /kv/a%2Fb?api-version=1.0`, action: ledger.ActionDelete, want: `{"key":"a/b"}`,
	},
	{
		kind: "appconfig.labelled_key", place: `{"label":"prod"}`, card: cards.AppConfig, seed: []string{`PUT /kv/a?label=prod&api-version=1.0 {"value":"x"}`},
		call: `DELETE /kv/a?label=prod&api-version=1.0`, action: ledger.ActionDelete, want: `{"key":"a","label":"prod"}`,
	},
	{
		kind: "bitbucket.repo_hook", place: `{"workspace":"acme","repo":"shop"}`, card: cards.Bitbucket, outcome: ledger.OutcomeCompensated,
		seed: []string{`POST /repositories/acme/shop/hooks {"url":"https://a.example.com","active":true,"events":["repo:push"]}`},
		call: `DELETE /repositories/acme/shop/hooks/%7B00000000-0000-4000-8000-000000000101%7D`, action: ledger.ActionDelete,
		want: `{"id":"{00000000-0000-4000-8000-000000000101}","repo":"shop","workspace":"acme"}`,
	},
	{
		kind: "cloudscheduler.job_state", place: google, card: cards.CloudScheduler, seed: []string{googleJob},
		call: "POST " + googleJobs + "/import:pause {}", action: ledger.ActionUpdate, want: `{"job":"import","location":"europe-west1","project":"shop"}`, held: 1,
	},
	{
		kind: "cloudscheduler.job", place: google, card: cards.CloudScheduler, seed: []string{googleJob},
		call: "DELETE " + googleJobs + "/import", action: ledger.ActionDelete, want: `{"job":"import","location":"europe-west1","project":"shop"}`,
	},
	{
		kind: "configcat.value", place: `{"config":"c1","environment":"e1"}`, card: cards.ConfigCat, seed: []string{"POST " + configCat1 + " {}"},
		call: "PUT " + configCat1 + `?reason=upgrade {"value":true}`, action: ledger.ActionUpdate, want: `{"environment":"e1","setting":"42"}`, held: 1,
	},
	{
		kind: "configcat.default_value", place: `{"config":"c1","environment":"e1"}`, card: cards.ConfigCat, seed: []string{"POST " + configCat2 + " {}"},
		call: "PATCH " + configCat2 + `?reason=upgrade [{"op":"replace","path":"/defaultValue","value":{"boolValue":true}}]`, action: ledger.ActionUpdate, want: `{"environment":"e1","setting":"42"}`, held: 1,
	},
	{
		kind: "datadog.downtime", card: cards.Datadog, outcome: ledger.OutcomeCompensated,
		seed: []string{downtime},
		call: `DELETE /api/v2/downtime/00000000-0000-1234-0000-000000000102`, action: ledger.ActionDelete, want: `{"id":"00000000-0000-1234-0000-000000000102"}`,
	},
	{
		kind: "eventbridge.schedule", place: `{"group":"shop"}`, card: cards.EventBridge, seed: []string{"POST /schedules/import " + aws},
		call: "DELETE /schedules/import?groupName=shop", action: ledger.ActionDelete, want: `{"group":"shop","name":"import"}`,
	},
	{
		kind: "flagsmith.flag", place: `{"environment":"e1"}`, card: cards.Flagsmith, seed: []string{"POST " + flagsmith + " {}"},
		call: "PATCH " + flagsmith + ` {"environment_default":{"enabled":true}}`, action: ledger.ActionUpdate, want: `{"environment":"e1","feature":"7"}`, held: 1,
	},
	{
		kind: "flipt.flag", place: `{"environment":"production","namespace":"default"}`, card: cards.Flipt,
		call: flipt("POST", "flipt.core.Flag", "new"), action: ledger.ActionCreate, want: `{"environment":"production","key":"bulk","namespace":"default"}`, held: 1,
	},
	{
		kind: "flipt.segment", place: `{"environment":"production","namespace":"default"}`, card: cards.Flipt, seed: []string{flipt("POST", "flipt.core.Segment", "old"), flipt("POST", "flipt.core.Flag", "old")},
		call: flipt("PUT", "flipt.core.Segment", "new"), action: ledger.ActionUpdate, want: `{"environment":"production","key":"bulk","namespace":"default"}`, held: 1,
	},
	{
		kind: "flipt.flag", place: `{"environment":"production","namespace":"default"}`, card: cards.Flipt, seed: []string{flipt("POST", "flipt.core.Flag", "old")},
		call: "DELETE " + fliptFlags + "/flipt.core.Flag/bulk", action: ledger.ActionDelete, want: `{"environment":"production","key":"bulk","namespace":"default"}`,
	},
}

// open starts the third party with what was there before, and a ledger whose system may make every call.
func (c called) open(t *testing.T) (*windowtest.Window, hand, *cards.Server) {
	t.Helper()
	card := c.card()
	s := cards.Start(t, card, remediatortest.Secret)
	setup := systemOf(t, strings.SplitN(c.kind, ".", 2)[0]).At(s.URL)
	setup.System, setup.Config.Effects = "sys", []string{"* /*"}
	h := hand{remediatortest.Hand{T: t, URL: s.URL, Header: map[string]string{card.Credential[0]: card.Authorization(remediatortest.Secret)}}, s}
	for _, line := range c.seed {
		e := callOf(t, line)
		h.Must(e.Method, strings.TrimSuffix(e.Path+"?"+e.Query, "?"), string(e.Body))
	}
	return setup.Open(t), h, s
}

// callOf reads "METHOD /path?query body".
func callOf(t *testing.T, line string) ledger.EffectCall {
	t.Helper()
	method, rest, _ := strings.Cut(line, " ")
	target, body, _ := strings.Cut(rest, " ")
	path, query, _ := strings.Cut(target, "?")
	out := ledger.EffectCall{Method: method, Path: path, Query: query, Header: map[string]string{"Content-Type": "application/json"}}
	if body != "" {
		out.Body = []byte(body)
	}
	return out
}

// A call through the ledger is known for what it does, taken back, and seen in its kind's list.
func TestCallsOfProfiles(t *testing.T) {
	for _, c := range callsOfProfiles {
		t.Run(c.kind+"/"+string(c.action), func(t *testing.T) {
			w, _, s := c.open(t)
			out, err := w.Ledger.Effect(t.Context(), w.ID, ledger.Draft{System: "sys"}, callOf(t, c.call))
			if err != nil || out.Outcome != ledger.EffectApplied {
				t.Fatalf("%+v, %v", out, err)
			}
			e := out.Entry
			if e.Kind != c.kind || e.Action != c.action || string(e.Resource) != c.want {
				t.Errorf("it is %s %s %s, want %s %s %s", e.Kind, e.Action, e.Resource, c.kind, c.action, c.want)
			}
			u, err := w.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: w.ID, System: "sys", Kinds: []string{c.kind}, Place: json.RawMessage(or(c.place, "{}")), All: true})
			if err != nil || len(u.Items) != 0 || len(u.Lists) != 1 || u.Lists[0].Held != c.held || u.Lists[0].Part || u.Lists[0].Why != "" {
				t.Errorf("its list: %+v, %v", u, err)
			}
			changes := s.Changes()
			w.Rollback()
			w.Want(e, "undone "+or(string(c.outcome), "undone"))
			if s.Changes() != changes+1 {
				t.Errorf("%d calls took it back", s.Changes()-changes)
			}
		})
	}
}

// What was made by hand is found in the list, page by page.
func TestListsAreReadToTheirEnd(t *testing.T) {
	for _, c := range []struct {
		called
		n        int
		makeFunc func(n int) string
	}{
		{called{kind: "airflow.variable", card: cards.Airflow}, 105, func(n int) string { return fmt.Sprintf(`POST /variables {"key":"v%d","value":"1"}`, n) }},
		{called{kind: "appconfig.key", card: cards.AppConfig}, 105, func(n int) string { return fmt.Sprintf(`PUT /kv/a%%2F%d?api-version=1.0 {"value":"x"}`, n) }},
		{called{kind: "appconfig.labelled_key", place: `{"label":"a b"}`, card: cards.AppConfig}, 105, func(n int) string {
			return fmt.Sprintf(`PUT /kv/%d?label=%s&api-version=1.0 {"value":"x"}`, n, url.QueryEscape("a b"))
		}},
		{called{kind: "bitbucket.workspace_hook", place: `{"workspace":"acme"}`, card: cards.Bitbucket}, 105, func(int) string {
			return `POST /workspaces/acme/hooks {"url":"https://a.example.com","events":["repo:push"]}`
		}},
		{called{kind: "cloudscheduler.job", place: google, card: cards.CloudScheduler}, 505, func(n int) string { return strings.Replace(googleJob, "import", fmt.Sprint("import", n), 1) }},
		{called{kind: "datadog.downtime", card: cards.Datadog}, 105, func(int) string { return downtime }},
		{called{kind: "eventbridge.schedule", place: `{"group":"shop"}`, card: cards.EventBridge}, 205, func(n int) string { return fmt.Sprintf("POST /schedules/import%d %s", n, aws) }},
		{called{kind: "flagsmith.flag", place: `{"environment":"e1"}`, card: cards.Flagsmith}, 25, func(n int) string { return strings.Replace("POST "+flagsmith+" {}", "7", fmt.Sprint(n), 1) }},
	} {
		t.Run(c.kind, func(t *testing.T) {
			for n := range c.n {
				c.seed = append(c.seed, c.makeFunc(n))
			}
			w, _, _ := c.open(t)
			u, err := w.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: w.ID, System: "sys", Kinds: []string{c.kind}, Place: json.RawMessage(or(c.place, "{}")), All: true})
			if err != nil || len(u.Lists) != 1 || u.Lists[0].Held != c.n || u.Lists[0].Part || len(u.Items) != c.n {
				t.Errorf("%d items, %+v, %v", len(u.Items), u.Lists, err)
			}
		})
	}
}
