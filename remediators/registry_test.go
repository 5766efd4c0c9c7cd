package remediators

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sideledger/ledger"
)

func TestConfigurationIsRefused(t *testing.T) {
	for yml, want := range map[string]string{
		"{remediator: nothing, url: 'ftp://x'}":                                               "systems.sys.url: has to begin with https://",
		"{remediator: nothing, url: 'http://user:" + canary + "@x'}":                          "systems.sys.url: must not carry a user",
		"{remediator: nothing, url: 'http://x/?a=b'}":                                         "systems.sys.url: ends with the path",
		"{remediator: nothing, url: 'http://x/#'}":                                            "systems.sys.url: ends with the path",
		"{remediator: nothing, url: 'http://x/../y'}":                                         "systems.sys.url: has a path",
		"{remediator: nothing, url: '/just/a/path'}":                                          "systems.sys.url: is not an address",
		"{remediator: nothing, url: 'http://:80'}":                                            "systems.sys.url: is not an address",
		"{remediator: other}":                                                                 "systems.sys.remediator: there is none of this name; there are: nothing",
		"{url: 'http://x'}":                                                                   "systems.sys.remediator: say which",
		"{remediator: nothing, url: 'http://x', credential: " + canary + "}":                  "systems.sys.credential: is a reference",
		"{remediator: nothing, url: 'http://x', credential: 'file:relative'}":                 "systems.sys.credential: is a reference",
		"{remediator: nothing, credential: 'env:A'}":                                          "systems.sys.credential: without a url",
		"{remediator: nothing, url: 'http://x', auth: {scheme: basic}}":                       "systems.sys.auth: it needs a credential",
		"{remediator: nothing, url: 'http://x', credential: 'env:A', auth: {scheme: x}}":      "systems.sys.auth.scheme: is one of",
		"{remediator: nothing, url: 'http://x', credential: 'env:A', auth: {scheme: header}}": "systems.sys.auth.name: say which",
		"{remediator: nothing, url: 'http://x', credential: 'env:A', auth: {name: Host}}":     "systems.sys.auth.name: is not a header",
		"{remediator: nothing, url: 'http://x', credential: 'env:A', auth: {scheme: sigv4}}":  "systems.sys.auth: sigv4 needs",
		"{remediator: nothing, url: 'http://x', allow: ['/a']}":                               "systems.sys.allow: each line is METHOD /path",
		"{remediator: nothing, url: 'http://x', allow: ['get /a']}":                           "systems.sys.allow: each line is METHOD /path",
		"{remediator: nothing, url: 'http://x', retry: {base: 2s, cap: 1s}}":                  "systems.sys.retry: base and cap",
		"{remediator: nothing, url: 'http://x', retry: {attempts: -1}}":                       "systems.sys.retry.attempts: is at least 1",
		"{remediator: nothing, url: 'http://x', rate: {per_second: 0.001}}":                   "systems.sys.rate.per_second: is at least",
		"{remediator: nothing, url: 'http://x', rate: {concurrent: -1}}":                      "systems.sys.rate.concurrent: is at least 1",
		"{remediator: picky, url: 'http://x'}":                                                "systems.sys.profile: says the factory",
	} {
		var c SystemConfig
		if err := yaml.Unmarshal([]byte(yml), &c); err != nil {
			t.Fatal(err)
		}
		factories := map[string]Factory{"nothing": func(Binding) (ledger.Remediator, error) { return nothing{}, nil }}
		if c.Remediator == "picky" {
			factories["picky"] = func(Binding) (ledger.Remediator, error) { return nil, Fieldf("profile", "says the factory") }
		}
		_, _, err := NewRegistry(Options{
			Systems: map[string]SystemConfig{"sys": c}, Factories: factories, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: environment{}.get,
		})
		var field *FieldError
		if !errors.As(err, &field) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", yml, err, want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the error repeats what may be a secret: %v", err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:1": "loopback", "https://localhost": "loopback", "https://10.0.0.1": "private", "https://169.254.169.254": "link-local",
		"https://api.example.com": "", "http://api.example.com": "unencrypted",
	} {
		_, warnings, err := NewRegistry(Options{
			Systems:   map[string]SystemConfig{"sys": {Remediator: "nothing", URL: url, Credential: "env:A"}},
			Factories: map[string]Factory{"nothing": func(Binding) (ledger.Remediator, error) { return nothing{}, nil }},
			Clock:     time.Now, Log: slog.New(slog.DiscardHandler), Getenv: environment{}.get,
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, w := range warnings {
			all = append(all, w.String())
		}
		said := strings.Join(all, "\n")
		if (want == "") != (said == "") || !strings.Contains(said, want) {
			t.Errorf("%s: %q, want %q", url, said, want)
		}
	}
}

func TestDefaultsAndUpdate(t *testing.T) {
	reg, client := newRegistry(t, SystemConfig{URL: "http://127.0.0.1:1/", AllowPrivate: true}, time.Now, io.Discard)
	sys, _, err := reg.Find("sys")
	if err != nil || sys.Attempts != 8 || sys.Backoff != (ledger.Backoff{Base: 500 * time.Millisecond, Cap: 30 * time.Second}) || sys.URL != "http://127.0.0.1:1" {
		t.Errorf("%+v, %v", sys, err)
	}
	if _, _, err := reg.Find("other"); ledger.CodeOf(err) != ledger.CodeNotFound {
		t.Errorf("%v", err)
	}
	for range silentLimit {
		_, _ = client.Do(t.Context(), Call{Method: "GET", Path: "/"})
	}
	next := SystemConfig{Remediator: "nothing", URL: "http://127.0.0.1:1/", AllowPrivate: true, Retry: RetryConfig{Base: time.Second, Cap: time.Minute, Attempts: 3}}
	if _, err := reg.Update(map[string]SystemConfig{"sys": next, "another": next}); err != nil {
		t.Fatal(err)
	}
	list := reg.List()
	if len(list) != 2 || list[0].Name != "another" || list[0].Breaker != "closed" || list[1].Breaker != "open" {
		t.Errorf("the condition of a lane stays: %+v", list)
	}
	if sys, _, _ := reg.Find("sys"); sys.Attempts != 3 || sys.Backoff.Cap != time.Minute {
		t.Errorf("%+v", sys)
	}
	bad := next
	bad.URL = "nowhere"
	if _, err := reg.Update(map[string]SystemConfig{"sys": bad}); err == nil {
		t.Error("a wrong configuration is taken")
	}
	if len(reg.List()) != 2 {
		t.Error("a refused configuration changed something")
	}
	moved := next
	moved.URL = "http://127.0.0.1:2"
	if _, err := reg.Update(map[string]SystemConfig{"sys": moved}); err != nil || reg.List()[0].Breaker != "closed" {
		t.Errorf("another address starts afresh: %v, %+v", err, reg.List())
	}
}

func TestSlot(t *testing.T) {
	for _, c := range []struct {
		conf SystemConfig
		want ledger.CredentialSlot
	}{
		{SystemConfig{}, ledger.CredentialSlot{}},
		{SystemConfig{Credential: "env:TOKEN"}, ledger.CredentialSlot{Variable: "TOKEN", Header: "Authorization", Prefix: "Bearer "}},
		{SystemConfig{Credential: "file:/run/x"}, ledger.CredentialSlot{Variable: "SYS_CREDENTIAL", Header: "Authorization", Prefix: "Bearer "}},
		{SystemConfig{Credential: "env:TOKEN", Auth: AuthConfig{Scheme: "header", Name: "X-Key", Prefix: "k "}}, ledger.CredentialSlot{Variable: "TOKEN", Header: "X-Key", Prefix: "k "}},
		{SystemConfig{Credential: "env:PAIR", Auth: AuthConfig{Scheme: "basic"}}, ledger.CredentialSlot{Variable: "PAIR_BASE64", Header: "Authorization", Prefix: "Basic "}},
	} {
		c.conf.URL = "https://x.example"
		if got := newTestClient(t, c.conf).Slot(); got != c.want {
			t.Errorf("%+v: %+v", c.conf, got)
		}
	}
}
