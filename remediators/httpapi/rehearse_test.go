package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
	"sideledger/remediators/windowtest"
)

// A rehearsed is a kind that a rehearsal makes a canary of, with where.
type rehearsed struct {
	kind, place, kept string
	made              string // the path of the call that makes one; empty: kept
	card              func() cards.Card
	judge             func(t *testing.T, s *cards.Server) // holds the calls to the vendor's own description; nil: there is none here
	leaves            int                                 // how many stay where it is kept, marked as gone
}

// rehearsable are the kinds with a canary whose third party is a card; Caddy and RabbitMQ are real.
var rehearsable = []rehearsed{
	{kind: "github.repo_hook", place: `{"owner":"acme","repo":"shop"}`, kept: "/repos/acme/shop/hooks", card: cards.GitHub, judge: judgeGitHub},
	{kind: "github.org_hook", place: `{"org":"acme"}`, kept: "/orgs/acme/hooks", card: cards.GitHub, judge: judgeGitHub},
	{kind: "gitea.repo_hook", place: `{"owner":"acme","repo":"shop"}`, kept: "/repos/acme/shop/hooks", card: cards.Gitea},
	{kind: "gitea.org_hook", place: `{"org":"acme"}`, kept: "/orgs/acme/hooks", card: cards.Gitea},
	{kind: "gitlab.project_hook", place: `{"project":"acme/shop"}`, kept: "/projects/acme%2Fshop/hooks", card: cards.GitLab},
	{kind: "gitlab.group_hook", place: `{"group":"acme"}`, kept: "/groups/acme/hooks", card: cards.GitLab},
	{kind: "stripe.webhook_endpoint", place: `{}`, kept: "/v1/webhook_endpoints", card: cards.Stripe, judge: judgeStripe},
	{kind: "cloudflare.dns_record", place: `{"zone":"z1"}`, kept: "/zones/z1/dns_records", card: cards.Cloudflare},
	{kind: "consul.key", place: `{}`, kept: "/v1/kv", card: cards.Consul},
	{kind: "kubernetes.configmap", place: `{"namespace":"shop"}`, kept: "/api/v1/namespaces/shop/configmaps", card: cards.Kubernetes},
	{kind: "airflow.variable", place: `{}`, kept: "/variables", card: cards.Airflow},
	{kind: "appconfig.key", place: `{}`, kept: "/kv", card: cards.AppConfig},
	{kind: "appconfig.labelled_key", place: `{"label":"prod"}`, kept: "/kv", card: cards.AppConfig},
	{kind: "bitbucket.repo_hook", place: `{"workspace":"acme","repo":"shop"}`, kept: "/repositories/acme/shop/hooks", card: cards.Bitbucket},
	{kind: "cloudscheduler.job", place: `{"project":"shop","location":"europe-west1"}`, kept: "/v1/projects/shop/locations/europe-west1/jobs", card: cards.CloudScheduler},
	{kind: "eventbridge.schedule", place: `{"group":"shop","target":"arn:aws:sqs:eu-central-1:1:in","role":"arn:aws:iam::1:role/in"}`, kept: "/schedules", card: cards.EventBridge},
	{kind: "datadog.downtime", place: `{}`, kept: "/api/v2/downtime", card: cards.Datadog, leaves: 1},
	{kind: "configcat.setting", place: `{"config":"c1"}`, kept: "/v1/settings", made: "/v1/configs/c1/settings", card: cards.ConfigCat},
	{kind: "flagsmith.feature", place: `{"project":"3"}`, kept: "/api/v1/projects/3/features", made: "/api/v1/projects/3/features/", card: cards.Flagsmith},
	{kind: "bitbucket.workspace_hook", place: `{"workspace":"acme"}`, kept: "/workspaces/acme/hooks", card: cards.Bitbucket},
	{kind: "kubernetes.cronjob_object", place: `{"namespace":"shop"}`, kept: "/apis/batch/v1/namespaces/shop/cronjobs", card: cards.Kubernetes},
	{kind: "grafana.dashboard", place: `{}`, kept: "/api/dashboards/uid", made: "/api/dashboards/db", card: cards.Grafana},
	{kind: "grafana.silence", place: `{}`, kept: "/api/alertmanager/grafana/api/v2/silence", made: "/api/alertmanager/grafana/api/v2/silences", card: cards.Grafana, leaves: 1},
	{kind: "kong.service", place: `{}`, kept: "/services", card: cards.Kong},
	{kind: "kong.route", place: `{}`, kept: "/routes", card: cards.Kong},
	{kind: "launchdarkly.flag", place: `{"project":"shop"}`, kept: "/api/v2/flags/shop", card: cards.LaunchDarkly},
	{kind: "n8n.workflow", place: `{}`, kept: "/workflows", card: cards.N8N},
	{kind: "pagerduty.webhook_subscription", place: `{}`, kept: "/webhook_subscriptions", card: cards.PagerDuty},
	{kind: "posthog.feature_flag", place: `{"project":7}`, kept: "/api/projects/7/feature_flags/101", made: "/api/projects/7/feature_flags/", card: cards.PostHog, leaves: 1},
}

// open starts the third party and a ledger whose system may make every call.
func (c rehearsed) open(t *testing.T) (*cards.Server, *windowtest.Window) {
	t.Helper()
	s := cards.Start(t, c.card(), remediatortest.Secret)
	setup := systemOf(t, strings.SplitN(c.kind, ".", 2)[0]).At(s.URL)
	setup.System, setup.Config.Effects = "sys", []string{"* /*"}
	return s, setup.Open(t)
}

func (c rehearsed) request() ledger.RehearsalRequest {
	return ledger.RehearsalRequest{System: "sys", Kinds: []string{c.kind}, Place: json.RawMessage(c.place)}
}

// told writes a rehearsal's canaries as "read:ok create:refused …", one a line.
func told(r *ledger.Rehearsal) string {
	var lines []string
	for _, c := range r.Canaries {
		var steps []string
		for _, s := range c.Steps {
			steps = append(steps, s.Step+":"+string(s.Result))
		}
		lines = append(lines, strings.Join(steps, " "))
	}
	return strings.Join(lines, "\n")
}

const allOK = "read:ok create:ok update:ok undo_update:ok undo_create:ok gone:ok"

// Every kind with a canary goes through the whole of a ledger, and leaves nothing.
func TestRehearsals(t *testing.T) {
	for _, c := range rehearsable {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			s, w := c.open(t)
			if c.judge != nil {
				c.judge(t, s)
			}
			vendor := s.JudgeFunc
			s.JudgeFunc = func(r *http.Request, body []byte) error {
				if vendor != nil {
					if err := vendor(r, body); err != nil {
						return err
					}
				}
				return namesItself(c, r, body)
			}
			r := w.Rehearse(c.request())
			if told(r) != allOK || !r.Proven() || !r.Over || r.Canaries[0].Remains != nil {
				t.Errorf("%s\n%+v", told(r), r)
			}
			if s.Count(c.kept) != c.leaves || s.Changes() != 4 {
				t.Errorf("%d are left after %d changes", s.Count(c.kept), s.Changes())
			}
			again, err := w.Ledger.Rehearsal(t.Context(), r.WindowID)
			if err != nil || told(again) != allOK || again.System != "sys" {
				t.Errorf("told from its window: %v\n%s", err, told(again))
			}
		})
	}
}

// namesItself holds what makes a canary to saying that it is one, and every other change to the canary alone.
func namesItself(c rehearsed, r *http.Request, body []byte) error {
	below := strings.HasPrefix(r.URL.EscapedPath(), c.kept)
	makes := r.Method == http.MethodPost && r.URL.EscapedPath() == or(c.made, c.kept)
	switch {
	case r.Method == http.MethodGet:
	case !below && !makes:
		return fmt.Errorf("it changes something elsewhere")
	case makes && !strings.Contains(string(body), "sideledger-rehearsal-"):
		return fmt.Errorf("it makes something that does not say what it is")
	}
	return nil
}

// What is there already is not touched, whatever it is.
func TestRehearsalLeavesOthersAlone(t *testing.T) {
	c := rehearsable[0]
	s, w := c.open(t)
	header := map[string]string{"Authorization": "Bearer " + remediatortest.Secret, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
	h := hand{remediatortest.Hand{T: t, URL: s.URL, Header: header}, s}
	h.Must("POST", c.kept, `{"name":"web","events":["watch"],"config":{"url":"https://sideledger-rehearsal-other.invalid/"}}`)
	before := fmt.Sprint(s.Kept(c.kept + "/101"))
	if r := w.Rehearse(c.request()); !r.Proven() || s.Count(c.kept) != 1 || fmt.Sprint(s.Kept(c.kept+"/101")) != before {
		t.Errorf("%s, and %d are there", told(r), s.Count(c.kept))
	}
}

// The credential may read and make, and not delete: the rehearsal finds it, says what it left, and the next one with a
// better credential takes it away.
func TestRehearsalFindsAMissingScope(t *testing.T) {
	for _, c := range []rehearsed{rehearsable[0], rehearsable[6], rehearsable[9]} {
		for method, want := range map[string]string{
			"DELETE": "read:ok create:ok update:ok undo_update:ok undo_create:refused gone:not_tried",
			"POST":   "read:not_tried create:refused update:not_tried undo_update:not_tried undo_create:not_tried gone:not_tried",
		} {
			t.Run(c.kind+"/"+method, func(t *testing.T) {
				s, w := c.open(t)
				s.Forbid(method)
				r := w.Rehearse(c.request())
				if known := c.kind == "kubernetes.configmap"; known && method == "POST" {
					want = strings.Replace(want, "read:not_tried", "read:ok", 1)
				}
				if told(r) != want || r.Proven() {
					t.Errorf("%s\nwant %s", told(r), want)
				}
				left := r.Canaries[0].Remains
				if method == "POST" {
					if left != nil || s.Count(c.kept) != 0 {
						t.Errorf("%+v is left, where nothing was made", left)
					}
					return
				}
				step := r.Canaries[0].Steps[4]
				if left == nil || left.Request.Method != "DELETE" || !strings.Contains(left.Request.URL, c.kept) || step.Status != 403 || s.Count(c.kept) != 1 {
					t.Fatalf("left is %+v, the step %+v", left, step)
				}
				s.Forbid("")
				again := w.Rehearse(c.request())
				if !again.Proven() || len(again.Earlier) != 1 || again.Earlier[0].WindowID != r.WindowID || again.Earlier[0].Remains != nil || again.Earlier[0].State != ledger.WindowRolledBack || s.Count(c.kept) != 0 {
					t.Errorf("the next rehearsal: %s, earlier %v, %d left", told(again), again.Earlier, s.Count(c.kept))
				}
			})
		}
	}
}

// Nothing is made where the configuration keeps it from being taken back, or where nobody says where.
func TestRehearsalIsRefusedBeforehand(t *testing.T) {
	c := rehearsable[0]
	all := []string{"* /*"}
	for name, x := range map[string]struct {
		effects, allow []string
		place, want    string
	}{
		"no effects":        {nil, nil, c.place, "may not be sent"},
		"no update":         {[]string{"POST /*"}, nil, c.place, "PATCH /repos/acme/shop/hooks/0 may not be sent"},
		"no delete allowed": {[]string{"POST /*", "PATCH /*"}, []string{"GET /*", "POST /*", "PATCH /*"}, c.place, "the undo would never be sent"},
		"no place":          {all, nil, `{"owner":"acme"}`, "it needs repo"},
	} {
		t.Run(name, func(t *testing.T) {
			s := cards.Start(t, c.card(), remediatortest.Secret)
			setup := systemOf(t, "github").At(s.URL)
			setup.System, setup.Config.Effects, setup.Config.Allow = "sys", x.effects, x.allow
			req := c.request()
			req.Place = json.RawMessage(x.place)
			r := setup.Open(t).Rehearse(req)
			if len(r.Canaries) != 0 || len(r.Left) != 1 || !strings.Contains(r.Left[0].Why, x.want) || r.Proven() || s.Changes() != 0 {
				t.Errorf("%+v after %d changes", r, s.Changes())
			}
		})
	}
}

// A credential that may not read makes nothing.
func TestRehearsalReadsFirst(t *testing.T) {
	c := rehearsable[9]
	s, w := c.open(t)
	s.Forbid("GET")
	r := w.Rehearse(c.request())
	if !strings.HasPrefix(told(r), "read:refused create:not_tried") || s.Changes() != 0 || r.WindowID.String() != "00000000-0000-0000-0000-000000000000" {
		t.Errorf("%s after %d changes in window %s", told(r), s.Changes(), r.WindowID)
	}
}

// Of a window's entries come the kinds and the places, each once.
func TestRehearsalForAWindow(t *testing.T) {
	c := rehearsable[0]
	s, w := c.open(t)
	for _, repo := range []string{"shop", "shop", "till"} {
		w.Record(ledger.Draft{
			System: "sys", Kind: c.kind, Action: ledger.ActionUpdate, State: ledger.EntryIntended, Before: image(`{"active":true}`),
			Resource: json.RawMessage(`{"owner":"acme","repo":"` + repo + `","id":7}`),
		})
	}
	r := w.Rehearse(ledger.RehearsalRequest{System: "sys", WindowID: w.ID})
	if told(r) != allOK+"\n"+allOK || len(r.Left) != 0 || r.For != w.ID || s.Changes() != 8 {
		t.Errorf("%s\n%+v after %d changes", told(r), r.Left, s.Changes())
	}
	w.WantState(ledger.WindowOpen)
}

// Each kind of each profile says whether it is rehearsed, and those that are have a contract here.
func TestEveryCanaryIsRehearsed(t *testing.T) {
	tested := map[string]bool{"caddy.route": true, "rabbitmq.policy": true}
	for _, c := range rehearsable {
		tested[c.kind] = true
	}
	for _, name := range profileNames() {
		p, err := loadProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		for kind, k := range p.kinds {
			if has := k.Rehearse != nil && k.Rehearse.Not == ""; has && !tested[kind] {
				t.Errorf("%s has a canary, and no test makes it", kind)
			}
		}
	}
}

func TestRehearsalsAreReadStrictly(t *testing.T) {
	const head = "name: x\nabout: y\nkinds:\n  x.a: {about: z, resource: {key: [id], optional: [box]}, read: {path: /a}, rehearse: "
	const call = `{method: PUT, path: "/{{resource.id}}"}`
	for text, want := range map[string]string{
		`{create: ` + call + `}`:                                                    "needs create and update",
		`{not: x, create: ` + call + `}`:                                            "says not, and how",
		`{create: ` + call + `, update: ` + call + `, resource: {name: x}}`:         "resource.name",
		`{create: {method: GET, path: /a}, update: ` + call + `}`:                   "/rehearse/method",
		`{create: {method: PUT, path: "/{{now.id}}"}, update: ` + call + `}`:        "create refers to",
		`{create: {method: PUT, path: "/{{resource.no}}"}, update: ` + call + `}`:   "create refers to",
		`{create: ` + call + `, update: ` + call + `, resource: {id: "{{nothing"}}`: "resource.id",
		`{create: ` + call + `, update: ` + call + `, made: 1}`:                     "field made not found",
	} {
		if _, err := parseProfile("x", []byte(head+text+"}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A real Caddy is rehearsed: a route that no request fits, at the end of the list, gone afterwards.
func TestCaddyIsRehearsed(t *testing.T) {
	remediatortest.Proves(t, "caddy.route", "rehearsed")
	a := startAdmin(t)
	w := setupOf(remediators.SystemConfig{URL: a.URL, Profile: "caddy", Effects: []string{"* /config/*", "* /id/*"}}).Open(t)
	start := a.call("GET", "/config/", "")
	r := w.Rehearse(ledger.RehearsalRequest{System: "sys", Place: json.RawMessage(`{"server":"srv0"}`)})
	if told(r) != allOK || len(r.Left) != 2 {
		t.Errorf("%s\n%+v %+v", told(r), r.Canaries, r.Left)
	}
	a.settle()
	if now := a.call("GET", "/config/", ""); now != start {
		t.Errorf("the configuration is\n%s, want\n%s", now, start)
	}
}

// Somebody else changes the canary before it is taken back: nothing of theirs is overwritten, and it is said.
func TestRehearsalThatDrifts(t *testing.T) {
	c := rehearsable[0]
	s, w := c.open(t)
	header := map[string]string{"Authorization": "Bearer " + remediatortest.Secret, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
	h := hand{remediatortest.Hand{T: t, URL: s.URL, Header: header}, s}
	r, err := w.Ledger.Rehearse(t.Context(), c.request())
	if err != nil {
		t.Fatal(err)
	}
	id := named(string(r.Canaries[0].Resource), "id")
	h.Must("PATCH", c.kept+"/"+id, `{"events":["issues"]}`)
	w.Finish(r.RollbackID)
	if r, err = w.Ledger.Rehearsed(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	const want = "read:ok create:ok update:ok undo_update:drifted undo_create:not_tried gone:not_tried"
	if left := r.Canaries[0].Remains; told(r) != want || left == nil || s.Count(c.kept) != 1 {
		t.Errorf("%s, left %+v\nwant %s", told(r), left, want)
	}
}

// A canary that somebody else deleted proves nothing about our deleting.
func TestRehearsalOfWhatIsGone(t *testing.T) {
	c := rehearsable[0]
	s, w := c.open(t)
	s.Forbid("PATCH") // so that the create is the only entry with an effect
	r, err := w.Ledger.Rehearse(t.Context(), c.request())
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]string{"Authorization": "Bearer " + remediatortest.Secret, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
	hand{remediatortest.Hand{T: t, URL: s.URL, Header: header}, s}.Must("DELETE", c.kept+"/"+named(string(r.Canaries[0].Resource), "id"), "")
	w.Finish(r.RollbackID)
	if r, err = w.Ledger.Rehearsed(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if want := "read:ok create:ok update:refused undo_update:not_tried undo_create:drifted gone:ok"; told(r) != want || r.Proven() {
		t.Errorf("%s, want %s", told(r), want)
	}
}
