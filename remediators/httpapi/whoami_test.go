package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
	"sideledger/remediators/remediatortest/cards"
	"sideledger/remediators/windowtest"
)

// asked are the profiles that can ask about the credential, and whether they are told when it ends.
var asked = []struct {
	profile string
	card    func() cards.Card
	ends    bool
}{
	{"github", cards.GitHub, true},
	{"gitlab", cards.GitLab, true},
	{"cloudflare", cards.Cloudflare, true},
	{"consul", cards.Consul, true},
	{"launchdarkly", cards.LaunchDarkly, false},
	{"kubernetes", cards.Kubernetes, false},
	{"pagerduty", cards.PagerDuty, false},
	{"gitea", cards.Gitea, false},
	{"stripe", cards.Stripe, false},
	{"grafana", cards.Grafana, false},
	{"kong", cards.Kong, false},
	{"kafkaconnect", cards.KafkaConnect, false},
	{"n8n", cards.N8N, false},
	{"jenkins", cards.Jenkins, false},
	{"posthog", cards.PostHog, false},
	{"airflow", cards.Airflow, false},
	{"appconfig", cards.AppConfig, false},
	{"configcat", cards.ConfigCat, false},
	{"datadog", cards.Datadog, false},
	{"flagsmith", cards.Flagsmith, false},
	{"flipt", cards.Flipt, true},
	{"bitbucket", cards.Bitbucket, false},           // as its example of a system says
	{"cloudscheduler", cards.CloudScheduler, false}, // likewise
	{"eventbridge", cards.EventBridge, false},
}

// ending is a third party whose credential ends some time, and a system of it that a window is opened for.
func ending(t *testing.T, profile string, card func() cards.Card) (*cards.Server, windowtest.Setup) {
	t.Helper()
	s := cards.Start(t, card(), remediatortest.Secret)
	return s, systemOf(t, profile).At(s.URL)
}

func TestWhoami(t *testing.T) {
	for _, a := range asked {
		t.Run(a.profile, func(t *testing.T) {
			s, setup := ending(t, a.profile, a.card)
			asker, ok := setup.Bind(t).(ledger.CredentialChecker)
			if !ok || asker.CredentialMark() == "" {
				t.Fatal("it cannot be asked")
			}
			check := func(state ledger.CredentialState, ends time.Time) {
				t.Helper()
				got := asker.CheckCredential(t.Context())
				if got.State != state || !got.ExpiresAt.Equal(ends) {
					t.Errorf("got %+v, want %s until %s", got, state, ends)
				}
				if strings.Contains(fmt.Sprintf("%+v", got), remediatortest.Secret) {
					t.Error("the credential is shown")
				}
			}
			check(ledger.CredentialAccepted, time.Time{})
			if a.ends {
				ends := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
				s.Expire(ends)
				check(ledger.CredentialAccepted, ends)
			}
			s.Rotate("another")
			refused := ledger.CredentialRefused
			switch a.profile {
			case "consul": // 401 is what an agent without ACLs answers, and what this card does
				refused = ledger.CredentialUnknown
			case "eventbridge": // this card checks no signature; AWS answers 403, as to one without the permission
				s.Forbid("GET")
				refused = ledger.CredentialUnknown
			}
			check(refused, time.Time{})
		})
	}
}

// opened opens a window that ends in an hour, with a buffer of ten minutes, and records an entry in it.
func opened(t *testing.T, w *windowtest.Window) (window, entry []string) {
	t.Helper()
	view, err := w.Ledger.OpenWindow(t.Context(), ledger.WindowDraft{Name: "w", EndsAt: time.Now().Add(time.Hour), Buffer: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return view.Warnings, recordedWarnings(t, w, view)
}

func recordedWarnings(t *testing.T, w *windowtest.Window, view *ledger.WindowView) []string {
	t.Helper()
	list, err := w.Ledger.Record(t.Context(), view.ID, []ledger.Draft{{
		System: w.Ledger.SystemList()[0].Name, Kind: "github.repo_hook", Action: ledger.ActionUpdate, State: ledger.EntryIntended,
		Resource: json.RawMessage(`{"owner":"acme","repo":"shop","id":7}`), Before: ledger.Image{JSON: json.RawMessage(`{"active":true}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, text := range list[0].Entry.Warnings {
		if strings.HasPrefix(text, "credential_") {
			out = append(out, text)
		}
	}
	return out
}

func TestCredentialOfAWindow(t *testing.T) {
	for name, c := range map[string]struct {
		ends time.Duration // from now; 0: never
		want string        // begins the warning; empty: there is none
	}{
		"no end":               {0, ""},
		"after the window":     {2 * time.Hour, ""},
		"within the buffer":    {65 * time.Minute, "credential_expires: the credential of system hooks ends at "},
		"before the window":    {30 * time.Minute, "credential_expires: the credential of system hooks ends at "},
		"before the beginning": {-time.Minute, "credential_expires: the credential of system hooks ended at "},
	} {
		t.Run(name, func(t *testing.T) {
			s, setup := ending(t, "github", cards.GitHub)
			if c.ends != 0 {
				s.Expire(time.Now().Add(c.ends))
			}
			w := setup.Open(t)
			window, entry := opened(t, w)
			for where, got := range map[string][]string{"window": window, "entry": entry} {
				if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
					t.Errorf("%s: %q, want %q", where, got, c.want)
				}
			}
			if got := w.Ledger.SystemList()[0].Credential; got == nil || got.State != ledger.CredentialAccepted || got.ExpiresAt.IsZero() != (c.ends == 0) {
				t.Errorf("system: %+v", got)
			}
		})
	}
}

// A credential that is refused is said, and one that took its place is asked about at once.
func TestCredentialIsRotated(t *testing.T) {
	s, setup := ending(t, "github", cards.GitHub)
	var secret atomic.Value
	secret.Store(remediatortest.Secret)
	setup.GetenvFunc = func(string) string { return secret.Load().(string) }
	w := setup.Open(t)
	if window, entry := opened(t, w); len(window)+len(entry) != 0 {
		t.Errorf("window %q, entry %q", window, entry)
	}
	secret.Store("mistyped-token")
	window, entry := opened(t, w)
	for where, got := range map[string][]string{"window": window, "entry": entry} {
		if len(got) != 1 || !strings.HasPrefix(got[0], "credential_refused: system hooks ") || strings.Contains(got[0], "mistyped") {
			t.Errorf("%s: %q", where, got)
		}
	}
	s.Rotate("rotated-token")
	secret.Store("rotated-token")
	if window, entry := opened(t, w); len(window)+len(entry) != 0 {
		t.Errorf("after the rotation: window %q, entry %q", window, entry)
	}
	secret.Store("") // its file is empty, or its variable not set
	if window, _ := opened(t, w); len(window) != 1 || !strings.HasPrefix(window[0], "credential_refused: ") {
		t.Errorf("without one: %q", window)
	}
}
