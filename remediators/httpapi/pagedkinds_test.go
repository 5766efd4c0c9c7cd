package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
)

// pagedKinds are the kinds whose third party shows its list in pages, with the calls that make one thing; %d is a number.
var pagedKinds = []struct {
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
	for _, c := range pagedKinds {
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

func TestTimesOfElements(t *testing.T) {
	want := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, pointer := range map[string]string{
		`{"at":"2001-01-01T01:00:00+01:00"}`: "/at", `{"at":978307200}`: "/at", `{"at":9.783072E8}`: "/at", `{"at":978307200000}`: "/at", `{"env":{"prod":{"at":978307200000}}}`: "/env/{{resource.env}}/at",
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
