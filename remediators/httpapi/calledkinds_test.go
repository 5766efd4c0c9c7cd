package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// A calledKind is a kind whose changes are made through the ledger, in order, and all taken back.
type calledKind struct {
	name  string
	kind  string // of every entry
	card  func() cards.Card
	seed  func(h hand) (id string) // makes what is there before; $id in the calls
	calls []theCall
	kept  string // below which path as many have to be there afterwards as before; empty: they stay, marked as gone
}

// theCall is one call, with what becomes of it.
type theCall struct {
	call     string // "PUT /a/$id?x=y"; $made is what the last create has made
	body     string
	typ      string // the content type; empty: application/json
	said     string // of the resource by the caller; empty: nothing
	action   ledger.Action
	comesTo  ledger.Outcome // of its undo; empty: undone
	answered int            // empty: 200
}

const silencesPath = "/api/alertmanager/grafana/api/v2/silence"

// calledKinds are those of the profiles from Grafana to PostHog, and GitHub's files.
func calledKinds() []calledKind {
	return slices.Concat(calledEdge(), calledAlerting(), calledFlags(), calledSchedules())
}

func calledEdge() []calledKind {
	const one, id = "5b1e0000-0000-4000-8000-000000000002", "/5b1e0000-0000-4000-8000-000000000002"
	made := func(list, body string) func(h hand) string {
		return func(h hand) string { h.Must("PUT", list+id, body); return one }
	}
	connector := func(h hand) string {
		h.Must("PUT", "/connectors/orders/config", `{"connector.class":"FileStreamSink","topics":"old"}`)
		return "orders"
	}
	kong := func(kind, list, old, more, patch string) calledKind {
		return calledKind{kind, kind, cards.Kong, made(list, old), []theCall{
			{"POST " + list, more, "", "", ledger.ActionCreate, "", 201},
			{"PATCH " + list + "/$made", patch, "", "", ledger.ActionUpdate, "", 200},
			{"PUT " + list + "/$id", more[:1] + `"tags":["new"],` + strings.Replace(more[1:], `"name":"made",`, "", 1), "", "", ledger.ActionUpdate, "", 200},
			{"DELETE " + list + "/$id", "", "", "", ledger.ActionDelete, "", 204},
		}, list}
	}
	return []calledKind{
		kong("kong.service", "/services", `{"name":"shop","host":"old.example.com"}`, `{"name":"made","host":"new.example.com"}`, `{"retries":1}`),
		kong("kong.route", "/routes", `{"name":"shop","paths":["/shop"]}`, `{"name":"made","paths":["/made"]}`, `{"strip_path":false}`),
		kong("kong.plugin", "/plugins", `{"name":"cors","config":{"a":1}}`, `{"name":"rate-limiting","config":{"minute":5}}`, `{"enabled":false}`),
		{"kong by name", "kong.service", cards.Kong, made("/services", `{"name":"shop","host":"old.example.com"}`), []theCall{
			{"PATCH /services/shop", `{"host":"new.example.com"}`, "", "", ledger.ActionUpdate, "", 200},
			{"PUT /services/till", `{"host":"till.example.com"}`, "", "", ledger.ActionCreate, "", 200},
			{"DELETE /services/shop", "", "", "", ledger.ActionDelete, "", 204},
		}, "/services"},
		{"connector", "kafkaconnect.connector", cards.KafkaConnect, connector, []theCall{
			{"POST /connectors", `{"name":"made","config":{"connector.class":"FileStreamSink"}}`, "", "", ledger.ActionCreate, "", 201},
			{"PUT /connectors/$id/config", `{"connector.class":"FileStreamSink","topics":"new"}`, "", "", ledger.ActionUpdate, "", 200},
			{"PATCH /connectors/$id/config", `{"topics":"newer"}`, "", "", ledger.ActionUpdate, "", 200},
			{"PUT /connectors/put/config", `{"connector.class":"FileStreamSink"}`, "", "", ledger.ActionCreate, "", 201},
			{"DELETE /connectors/$id", "", "", "", ledger.ActionDelete, "", 204},
		}, "/connectors"},
		{"state", "kafkaconnect.state", cards.KafkaConnect, connector, []theCall{
			{"PUT /connectors/$id/pause", "", "", "", ledger.ActionUpdate, "", 202}, {"PUT /connectors/$id/stop", "", "", "", ledger.ActionUpdate, "", 204}, {"PUT /connectors/$id/resume", "", "", "", ledger.ActionUpdate, "", 202},
		}, "/connectors"},
	}
}

func calledAlerting() []calledKind {
	const saved = `{"dashboard":{"uid":"shop","title":"new"},"overwrite":true}`
	ended := func(id, day string) string {
		return `{` + id + `"matchers":[{"name":"app","value":"shop","isRegex":false,"isEqual":true}],"startsAt":"2099-01-01T00:00:00Z","endsAt":"2099-01-0` + day + `T00:00:00Z","createdBy":"ops","comment":"c"}`
	}
	hook := `{"webhook_subscription":{"type":"webhook_subscription","events":["incident.triggered"],"filter":{"type":"account_reference"},"delivery_method":{"type":"http_delivery_method","url":"https://a.example.com"}}}`
	off := `{"webhook_subscription":{"type":"webhook_subscription","active":false,"events":["incident.triggered"],"filter":{"type":"account_reference"}}}`
	window := func(end string) string {
		return `{"maintenance_window":{"type":"maintenance_window","start_time":"2099-01-01T00:00:00Z","end_time":"2099-01-0` + end + `T00:00:00Z","services":[{"id":"P1","type":"service_reference"}]}}`
	}
	from := func(h hand) string {
		h.Header["From"] = "ops@example.com"
		return named(h.member("maintenance_window", "POST", "/maintenance_windows", window("2")), "id")
	}
	return []calledKind{
		{"dashboard", "grafana.dashboard", cards.Grafana, func(h hand) string {
			h.Must("POST", "/api/dashboards/db", `{"dashboard":{"uid":"shop","title":"old"}}`)
			return "shop"
		}, []theCall{
			{"POST /api/dashboards/db", `{"dashboard":{"uid":null,"title":"made"}}`, "", "", ledger.ActionCreate, "", 200},
			{"POST /api/dashboards/db", `{"dashboard":{"uid":"named","title":"made"}}`, "", "", ledger.ActionCreate, "", 200},
			{"POST /api/dashboards/db", saved, "", "", ledger.ActionUpdate, "", 200},
			{"DELETE /api/dashboards/uid/shop", "", "", "", ledger.ActionDelete, "", 200},
		}, "/api/dashboards/uid"},
		{"silence", "grafana.silence", cards.Grafana, func(h hand) string { return unquoted(h.pick("/silenceID", "POST", silencesPath+"s", ended("", "2"))) }, []theCall{
			{"POST " + silencesPath + "s", ended("", "2"), "", "", ledger.ActionCreate, "", 202},
			{"POST " + silencesPath + "s", ended(`"id":"$id",`, "3"), "", "", ledger.ActionUpdate, "", 202},
			{"DELETE " + silencesPath + "/$id", "", "", "", ledger.ActionDelete, ledger.OutcomeCompensated, 200},
		}, ""},
		{"subscription", "pagerduty.webhook_subscription", cards.PagerDuty, func(h hand) string {
			return unquoted(h.pick("/webhook_subscription/id", "POST", "/webhook_subscriptions", hook))
		}, []theCall{
			{"POST /webhook_subscriptions", hook, "", "", ledger.ActionCreate, "", 201},
			{"PUT /webhook_subscriptions/$id", off, "", "", ledger.ActionUpdate, "", 200},
			{"DELETE /webhook_subscriptions/$id", "", "", `{"unsigned":"true"}`, ledger.ActionDelete, ledger.OutcomeCompensated, 204},
		}, "/webhook_subscriptions"},
		{"maintenance", "pagerduty.maintenance_window", cards.PagerDuty, from, []theCall{
			{"PUT /maintenance_windows/$id", window("3"), "", "", ledger.ActionUpdate, "", 200}, {"DELETE /maintenance_windows/$id", "", "", `{"from":"ops@example.com"}`, ledger.ActionDelete, ledger.OutcomeCompensated, 204},
		}, ""},
	}
}

func calledFlags() []calledKind {
	const posthog = "/api/projects/7/feature_flags/"
	const semantic = "application/json; domain-model=launchdarkly.semanticpatch"
	flag := func(h hand) string {
		h.Must("POST", "/api/v2/flags/shop", `{"key":"bulk","name":"old"}`)
		return "bulk"
	}
	turn := func(kind string) string {
		return `{"environmentKey":"production","instructions":[{"kind":"` + kind + `"}]}`
	}
	replace := func(name, value string) string {
		return `{"patch":[{"op":"replace","path":"/` + name + `","value":` + value + `}]}`
	}
	return []calledKind{
		{"posthog", "posthog.feature_flag", cards.PostHog, func(h hand) string { return h.pick("/id", "POST", posthog, `{"key":"bulk","filters":{"groups":[]}}`) }, []theCall{
			{"POST " + posthog, `{"key":"made","filters":{"groups":[]}}`, "", "", ledger.ActionCreate, "", 201},
			{"PATCH " + posthog + "$id/", `{"active":false}`, "", "", ledger.ActionUpdate, "", 200},
			{"PATCH " + posthog + "$id/", `{"filters":{"groups":[{"properties":[],"rollout_percentage":50}]}}`, "", "", ledger.ActionUpdate, "", 200},
			{"PATCH " + posthog + "$id/", `{"deleted":true}`, "", "", ledger.ActionDelete, "", 200},
		}, ""},
		{"flag", "launchdarkly.flag", cards.LaunchDarkly, flag, []theCall{
			{"POST /api/v2/flags/shop", `{"key":"made"}`, "", "", ledger.ActionCreate, "", 201},
			{"PATCH /api/v2/flags/shop/bulk", replace("name", `"new"`), "", "", ledger.ActionUpdate, "", 200},
			{"PATCH /api/v2/flags/shop/bulk", replace("archived", "true"), "", "", ledger.ActionUpdate, "", 200},
		}, "/api/v2/flags/shop"},
		{"toggle", "launchdarkly.toggle", cards.LaunchDarkly, flag, []theCall{
			{"PATCH /api/v2/flags/shop/bulk", turn("turnFlagOff"), semantic, "", ledger.ActionUpdate, "", 200}, {"PATCH /api/v2/flags/shop/bulk", turn("turnFlagOn"), semantic, "", ledger.ActionUpdate, "", 200},
		}, "/api/v2/flags/shop"},
	}
}

func calledSchedules() []calledKind {
	const jobs = "/apis/batch/v1/namespaces/shop/cronjobs"
	job := func(name, more string) string {
		return `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"` + name + `","namespace":"shop"},"spec":{"schedule":"0 3 * * *","startingDeadlineSeconds":60` + more + `}}`
	}
	cron := func(h hand) string { h.Must("POST", jobs, job("import", "")); return "import" }
	drafted := func(h hand) string { return unquoted(h.pick("/id", "POST", "/workflows", workflow("import", ""))) }
	const file = "/repos/acme/shop/contents/conf/flags.yaml"
	const push = `"message":"m","branch":"main"`
	return []calledKind{
		{"cronjob", "kubernetes.cronjob", cards.Kubernetes, cron, []theCall{{"PATCH " + jobs + "/$id", `{"spec":{"suspend":true}}`, "application/merge-patch+json", "", ledger.ActionUpdate, "", 200}}, jobs},
		{"cronjob object", "kubernetes.cronjob_object", cards.Kubernetes, cron, []theCall{
			{"POST " + jobs, job("made", ""), "", "", ledger.ActionCreate, "", 201}, {"PUT " + jobs + "/$id", job("import", `,"timeZone":"UTC"`), "", "", ledger.ActionUpdate, "", 200}, {"DELETE " + jobs + "/$id", "", "", "", ledger.ActionDelete, "", 200},
		}, jobs},
		{"workflow", "n8n.workflow", cards.N8N, drafted, []theCall{
			{"POST /workflows", workflow("made", ""), "", "", ledger.ActionCreate, "", 200},
			{"PUT /workflows/$id?publishIfActive=false", workflow("new", ""), "", "", ledger.ActionUpdate, "", 200},
			{"DELETE /workflows/$id", "", "", "", ledger.ActionDelete, ledger.OutcomeCompensated, 200},
		}, "/workflows"},
		{"publication", "n8n.publication", cards.N8N, drafted, []theCall{
			{"POST /workflows/$id/publish", `{}`, "", "", ledger.ActionUpdate, "", 200}, {"POST /workflows/$id/unpublish", "", "", "", ledger.ActionUpdate, "", 200},
		}, "/workflows"},
		{"job", "jenkins.job", cards.Jenkins, func(h hand) string { h.Must("POST", "/job/shop/job/import", ""); return "import" }, []theCall{
			{"POST /job/shop/job/$id/disable", "", "", "", ledger.ActionUpdate, "", 302}, {"POST /job/shop/job/$id/enable", "", "", "", ledger.ActionUpdate, "", 302},
		}, "/job/shop/job"},
		{"file", "github.file", cards.GitHub, func(h hand) string {
			return unquoted(h.pick("/content/sha", "PUT", file, `{`+push+`,"content":"b2xk"}`))
		}, []theCall{
			{"PUT /repos/acme/shop/contents/made.txt", `{` + push + `,"content":"bWFkZQ=="}`, "", "", ledger.ActionCreate, "", 201}, {"PUT " + file, `{` + push + `,"content":"bmV3","sha":"$id"}`, "", "", ledger.ActionUpdate, "", 200},
		}, "/repos/acme/shop"},
	}
}

// unquoted is a JSON string as it is meant.
func unquoted(raw string) string {
	s, _ := text(json.RawMessage(raw))
	return s
}

// Every call that a profile knows is made through the ledger, recorded with both images, and taken back.
func TestCallsInARow(t *testing.T) {
	for _, c := range calledKinds() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c calledKind) run(t *testing.T) {
	card := c.card()
	s := cards.Start(t, card, remediatortest.Secret)
	header := map[string]string{card.Credential[0]: card.Authorization(remediatortest.Secret)}
	for name, value := range card.Need {
		header[name] = value
	}
	id := c.seed(hand{remediatortest.Hand{T: t, URL: s.URL, Header: header}, s})
	setup := systemOf(t, strings.SplitN(c.kind, ".", 2)[0]).At(s.URL)
	setup.System, setup.Config.Effects = "sys", []string{"* /*"}
	if card.Name == "github" {
		judgeGitHub(t, s)
	}
	w := setup.Open(t)
	before, made := s.Count(c.kept), ""
	var entries []*ledger.Entry
	for _, one := range c.calls {
		fill := strings.NewReplacer("$id", id, "$made", made).Replace
		method, path, _ := strings.Cut(fill(one.call), " ")
		path, query, _ := strings.Cut(path, "?")
		call := ledger.EffectCall{Method: method, Path: path, Query: query, Header: map[string]string{}}
		if one.body != "" {
			call.Body, call.Header["Content-Type"] = []byte(fill(one.body)), or(one.typ, "application/json")
		}
		d := ledger.Draft{System: "sys"}
		if one.said != "" {
			d.Resource = json.RawMessage(one.said)
		}
		out, err := w.Ledger.Effect(t.Context(), w.ID, d, call)
		if err != nil || out.Outcome != ledger.EffectApplied || out.Answer.Status != one.answered || out.Detail != "" {
			t.Fatalf("%s: %v %+v", one.call, err, out)
		}
		e := w.Entry(out.Entry)
		if e.Kind != c.kind || e.Action != one.action || !e.Before.Known() || !e.After.Known() || e.Reversible == ledger.ReversibleNone {
			t.Errorf("%s: %s %s %s (%s), before %s, after %s", one.call, e.Kind, e.Action, e.Resource, e.Reversible, e.Before.JSON, e.After.JSON)
		}
		if e.Action == ledger.ActionCreate {
			made = named(string(e.Where()), "id")
		}
		entries = append(entries, e)
	}
	w.Rollback()
	for i, e := range entries {
		w.Want(e, "undone "+or(string(c.calls[i].comesTo), "undone"))
	}
	if now := s.Count(c.kept); c.kept != "" && now != before {
		t.Errorf("%d are there, and were %d", now, before)
	}
}

// What a profile's undo does not bring back is not called.
func TestCallsThatAreRefused(t *testing.T) {
	for profile, calls := range map[string]map[string]string{
		"launchdarkly": {
			`PATCH /api/v2/flags/shop/bulk {"patch":[{"op":"replace","path":"/variations/0","value":1}]}`:                                                     "",
			`PATCH /api/v2/flags/shop/bulk {"patch":[{"op":"replace","path":"/name","value":1},{"op":"add","path":"/x","value":1}]}`:                          "",
			`PATCH /api/v2/flags/shop/bulk {"environmentKey":"production","instructions":[{"kind":"turnFlagOn"},{"kind":"addRule"}]}`:                         "",
			`PATCH /api/v2/flags/shop/bulk {"environmentKey":"production","instructions":[{"kind":"updateFallthroughVariationOrRollout","variationId":"x"}]}`: "",
		},
		"posthog": {`PATCH /api/projects/7/feature_flags/1/ {"deleted":false}`: "", `PATCH /api/projects/7/feature_flags/1/ {"evaluation_tags":[]}`: ""},
		"n8n":     {`PUT /workflows/w1 {}`: "publishIfActive=false"},
		"kong":    {`PATCH /services/shop?x=1 {}`: "parameter"},
		"github":  {`PUT /repos/acme/shop/contents/a {"message":"m","content":""}`: "/branch"},
	} {
		rem := bindProfile(t, profile)
		for call, want := range calls {
			method, rest, _ := strings.Cut(call, " ")
			path, body, _ := strings.Cut(rest, " ")
			path, query, _ := strings.Cut(path, "?")
			_, err := rem.Derive(t.Context(), ledger.EffectCall{Method: method, Path: path, Query: query, Body: []byte(body)}, &ledger.Draft{})
			if ledger.CodeOf(err) != ledger.CodeInvalid || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", call, err)
			}
		}
	}
}

// bindProfile is a profile's remediator that nobody answers.
func bindProfile(t *testing.T, profile string) ledger.Effector {
	t.Helper()
	rem, ok := systemOf(t, profile).At("http://127.0.0.1:1").Bind(t).(ledger.Effector)
	if !ok {
		t.Fatalf("profile %s makes no calls", profile)
	}
	return rem
}
