package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// paged are the kinds whose third party shows its list in pages, with the calls that make one thing; %d is a number.
var paged = []struct {
	kind, place, method, path, body string
	card                            func() cards.Card
}{
	{"kong.service", `{}`, "PUT", "/services/5b1e0000-0000-4000-8000-00000000000%d", `{"host":"a.example.com"}`, cards.Kong},
	{"kong.route", `{}`, "PUT", "/routes/5b1e0000-0000-4000-8000-00000000000%d", `{"hosts":["a.example.com"]}`, cards.Kong},
	{"kong.plugin", `{}`, "PUT", "/plugins/5b1e0000-0000-4000-8000-00000000000%d", `{"name":"cors"}`, cards.Kong},
	{"n8n.workflow", `{}`, "POST", "/workflows", workflow("a%d", ""), cards.N8N},
	{"n8n.publication", `{}`, "POST", "/workflows", workflow("a%d", ""), cards.N8N},
	{"posthog.feature_flag", `{"project":7}`, "POST", "/api/projects/7/feature_flags/", `{"key":"a%d","filters":{"groups":[]}}`, cards.PostHog},
	{"launchdarkly.flag", `{"project":"shop"}`, "POST", "/api/v2/flags/shop", `{"key":"a%d","name":"a"}`, cards.LaunchDarkly},
	{"launchdarkly.toggle", `{"project":"shop","environment":"production"}`, "POST", "/api/v2/flags/shop", `{"key":"a%d","name":"a"}`, cards.LaunchDarkly},
	{"kubernetes.configmap", `{"namespace":"shop"}`, "POST", "/api/v1/namespaces/shop/configmaps", `{"metadata":{"name":"a%d"}}`, cards.Kubernetes},
	{"kubernetes.cronjob", `{"namespace":"shop"}`, "POST", "/apis/batch/v1/namespaces/shop/cronjobs", `{"metadata":{"name":"a%d"},"spec":{"schedule":"@daily"}}`, cards.Kubernetes},
	{"kubernetes.cronjob_object", `{"namespace":"shop"}`, "POST", "/apis/batch/v1/namespaces/shop/cronjobs", `{"metadata":{"name":"a%d"},"spec":{"schedule":"@daily"}}`, cards.Kubernetes},
	{"pagerduty.webhook_subscription", `{}`, "POST", "/webhook_subscriptions", `{"webhook_subscription":{"type":"webhook_subscription","events":["e%d"],"filter":{"type":"account_reference"},"delivery_method":{"type":"http_delivery_method","url":"https://a.example.com"}}}`, cards.PagerDuty},
	{"pagerduty.maintenance_window", `{}`, "POST", "/maintenance_windows", `{"maintenance_window":{"type":"maintenance_window","start_time":"2099-01-01T00:00:00Z","end_time":"2099-01-01T0%d:30:00Z","services":[{"id":"P1","type":"service_reference"}]}}`, cards.PagerDuty},
}

// Every page is asked for, and the last one is known to be.
func TestPagesAreFollowed(t *testing.T) {
	for _, c := range paged {
		t.Run(c.kind, func(t *testing.T) {
			card := c.card()
			s := cards.Start(t, card, remediatortest.Secret)
			header := map[string]string{card.Credential[0]: card.Authorization(remediatortest.Secret), "From": "ops@example.com"}
			for name, value := range card.Need {
				header[name] = value
			}
			h := hand{remediatortest.Hand{T: t, URL: s.URL, Header: header}, s}
			for i := range 5 {
				path, body := c.path, c.body
				if strings.Contains(path, "%d") {
					path = fmt.Sprintf(path, i)
				}
				if strings.Contains(body, "%d") {
					body = fmt.Sprintf(body, i)
				}
				h.Must(c.method, path, body)
			}
			for _, most := range []int{2, 5, 0} {
				s.Cap(most)
				setup := systemOf(t, strings.SplitN(c.kind, ".", 2)[0]).At(s.URL)
				lister, ok := setup.Bind(t).(ledger.Lister)
				if !ok {
					t.Fatal("it lists nothing")
				}
				got, err := lister.List(t.Context(), c.kind, json.RawMessage(c.place))
				seen := map[string]bool{}
				for _, one := range got.Items {
					seen[string(one.Resource)] = true
				}
				if err != nil || len(seen) != 5 || got.Part || got.Why != "" {
					t.Errorf("pages of %d: %d of 5, part %t, %q (%v)", most, len(seen), got.Part, got.Why, err)
				}
			}
		})
	}
}

// The next page by each of the ways to say it; what cannot be followed is said.
func TestWaysToTheNextPage(t *testing.T) {
	const head = "name: x\nabout: y\nkinds:\n  x.a: {about: z, resource: {key: [id]}, read: {path: /a}, list: {path: /a, items: /items, resource: {id: \"{{now.id}}\"}, "
	for name, c := range map[string]struct {
		way, first, second string // the paging of the profile, and the answers
		query              string // of the second call
		part               bool
	}{
		"next, a path":      {"next: /next", `"next":"/a?page=2"`, `"next":null`, "page=2", false},
		"next, elsewhere":   {"next: /next", `"next":"https://elsewhere.example/a"`, ``, "", true},
		"next, no text":     {"next: /next", `"next":{}`, ``, "", false},
		"token":             {"token: {cursor: /meta/next}", `"meta":{"next":"c 2"}`, `"meta":{"next":""}`, "cursor=c+2", false},
		"token, a number":   {"token: {cursor: /next}", `"next":17`, `"other":1`, "cursor=17", false},
		"token, an object":  {"token: {cursor: /next}", `"next":{}`, ``, "", true},
		"offset":            {"more: /more, offset: from", `"more":true`, `"more":false`, "from=2", false},
		"more, and no way":  {"more: /more", `"more":true`, ``, "", true},
		"after the last":    {"more: /more, after: {after: /id}", `"more":true`, `"more":false`, "after=2", false},
		"after what is not": {"more: /more, after: {after: /no}", `"more":true`, ``, "", true},
		"as many as may be": {"most: 2", `"a":1`, ``, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var queries []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				queries = append(queries, r.URL.RawQuery)
				more := c.first
				if len(queries) > 1 {
					more = c.second
				}
				_, _ = io.WriteString(w, fmt.Sprintf(`{"items":[{"id":%d},{"id":%d}],%s}`, len(queries)*2-1, len(queries)*2, more))
			}))
			defer srv.Close()
			p, err := parseProfile("x", []byte(head+c.way+"}}"))
			if err != nil {
				t.Fatal(err)
			}
			_, bare := bindBare(t, remediators.SystemConfig{URL: srv.URL})
			bare.profile = p
			got, err := bare.List(t.Context(), "x.a", nil)
			want := 2
			if c.query != "" {
				want = 4
			}
			if err != nil || len(got.Items) != want || got.Part != c.part || len(queries) != want/2 || queries[len(queries)-1] != c.query {
				t.Errorf("%d elements, part %t, asked for %q (%v)", len(got.Items), got.Part, queries, err)
			}
		})
	}
	for way, want := range map[string]string{
		"next: /a, offset: b": "exclude each other", "next: a": "no JSON pointer", "token: {a: b}": "token.a", "created: x": "no JSON pointer", `changed: "/{{x}}"`: "reference",
	} {
		if _, err := parseProfile("x", []byte(head+way+"}}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", way, err, want)
		}
	}
}

func TestTimesOfElements(t *testing.T) {
	want := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, pointer := range map[string]string{
		`{"at":"2001-01-01T01:00:00+01:00"}`: "/at", `{"at":978307200}`: "/at", `{"at":978307200000}`: "/at", `{"env":{"prod":{"at":978307200000}}}`: "/env/{{resource.env}}/at",
	} {
		var where timing
		if err := where.read(pointer); err != nil {
			t.Fatal(err)
		}
		if got := where.at(json.RawMessage(text), json.RawMessage(`{"env":"prod"}`)); !got.Equal(want) {
			t.Errorf("%s at %s is %s", text, pointer, got)
		}
		if got := where.at(json.RawMessage(`{"at":"never"}`), nil); !got.IsZero() {
			t.Errorf("nothing at %s is %s", pointer, got)
		}
	}
}
