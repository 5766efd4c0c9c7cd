package remediators

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

// twoKeys is a system with an API key and an application key.
var twoKeys = SystemConfig{
	AllowPrivate: true, Credential: "env:TOKEN", Auth: AuthConfig{Scheme: "header", Name: "DD-API-KEY"},
	Credentials: map[string]string{"DD-APPLICATION-KEY": "env:PAIR"},
}

func TestTwoCredentials(t *testing.T) {
	var got http.Header
	c := twoKeys
	c.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = io.WriteString(w, "refused: "+r.Header.Get("DD-APPLICATION-KEY"))
	})
	c.Effects = []string{"POST /*"}
	client := newTestClient(t, c)
	reply, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
	if err != nil || got.Get("DD-API-KEY") != canary || got.Get("DD-APPLICATION-KEY") != "user:"+canary || got.Get("Authorization") != "" {
		t.Errorf("sent %v, %v", got, err)
	}
	if said := string(client.Conceal(reply.Body)); strings.Contains(said, "user:") {
		t.Errorf("concealed: %s", said)
	}
	answer, err := client.effect(t.Context(), ledger.EffectCall{Method: "POST", Path: "/"}, nil)
	if err != nil || strings.Contains(string(answer.Body), "user:") {
		t.Errorf("a script is answered %s, %v", answer.Body, err)
	}
	if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/", Header: map[string]string{"dd-application-key": "x"}}); class(err) != "denied" {
		t.Errorf("a call with a credential of its own: %v", err)
	}
	slots := client.MoreSlots()
	if len(slots) != 1 || slots[0] != (ledger.CredentialSlot{Variable: "PAIR", Header: "DD-APPLICATION-KEY"}) {
		t.Errorf("slots %+v", slots)
	}
	c.Credentials = map[string]string{"DD-APPLICATION-KEY": "env:NOWHERE"}
	got = nil
	if _, err := newTestClient(t, c).Do(t.Context(), Call{Method: "GET", Path: "/"}); class(err) != "denied" || got != nil {
		t.Errorf("without the second one: %v, sent %v", err, got)
	}
}

// TestTwoCredentialsAreMarked: another second credential is another credential, and starts the client afresh.
func TestTwoCredentialsAreMarked(t *testing.T) {
	c := twoKeys
	c.URL = "https://x.example"
	reg, client := newRegistry(t, c, time.Now, io.Discard)
	mark := client.credentialMark(&WhoamiConfig{Path: "/"})
	c.Credentials = map[string]string{"DD-APPLICATION-KEY": "env:AWS"}
	c.Remediator = "nothing"
	if _, err := reg.Update(map[string]SystemConfig{"sys": c}); err != nil {
		t.Fatal(err)
	}
	next := reg.bound["sys"].client
	if next == client || next.salt == client.salt {
		t.Error("the client of the other credential goes on")
	}
	next.salt = client.salt
	if next.credentialMark(&WhoamiConfig{Path: "/"}) == mark {
		t.Error("another second credential has the same mark")
	}
}

func TestTwoCredentialsAreRefused(t *testing.T) {
	for field, more := range map[string]map[string]string{
		"credentials.A": {"A": canary}, "credentials.dd-api-key": {"dd-api-key": "env:A"}, "credentials:": {"Host": "env:A"}, "credentials: ": {"a b": "env:A"},
		"credentials: has": {"X-HTTP-Method-Override": "env:A"},
	} {
		c := twoKeys
		c.Remediator, c.URL, c.Credentials = "http", "https://x.example", more
		err := c.Validate("sys")
		var bad *FieldError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "systems.sys."+field) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", field, err)
		}
	}
	c := twoKeys
	c.Remediator, c.URL, c.Credential, c.Auth = "http", "https://x.example", "", AuthConfig{}
	if err := c.Validate("sys"); err == nil {
		t.Error("further credentials without a first one are taken")
	}
}

// TestAzure holds a signature to what App Configuration's reference says is signed.
func TestAzure(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("canary-key-of-azure"))
	var got *http.Request
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	for name, credential := range map[string]string{
		"pair": "a-l9-s0:xyz:" + secret, "connection string": "Endpoint=https://x.azconfig.io;Id=a-l9-s0:xyz;Secret=" + secret,
	} {
		client := newTestClient(t, SystemConfig{URL: url + "/base", AllowPrivate: true, Credential: "env:TOKEN", Auth: AuthConfig{Scheme: "azure"}})
		client.getenv = func(string) string { return credential }
		if _, err := client.Do(t.Context(), Call{Method: "PUT", Path: "/kv/a%2Fb", Query: "api-version=1.0", Body: []byte(`{"value":"x"}`)}); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(`{"value":"x"}`))
		hash, date := base64.StdEncoding.EncodeToString(sum[:]), got.Header.Get("X-Ms-Date")
		mac := hmac.New(sha256.New, []byte("canary-key-of-azure"))
		mac.Write([]byte("PUT\n/base/kv/a%2Fb?api-version=1.0\n" + date + ";" + got.Host + ";" + hash))
		want := "HMAC-SHA256 Credential=a-l9-s0:xyz&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if got.Header.Get("Authorization") != want || got.Header.Get("X-Ms-Content-Sha256") != hash {
			t.Errorf("%s: %v, want %s", name, got.Header, want)
		}
		if at, err := http.ParseTime(date); err != nil || time.Since(at) > time.Hour || !strings.HasSuffix(date, "GMT") {
			t.Errorf("%s: date %q", name, date)
		}
		if said := string(client.Conceal([]byte("it was " + secret + "."))); strings.Contains(said, secret) {
			t.Errorf("%s: concealed %s", name, said)
		}
		if slot := client.Slot(); slot.Variable != "" {
			t.Errorf("slot %+v", slot)
		}
	}
	for _, bad := range []string{canary, "id:" + "not base64!", ":" + secret, "Id=a;Secret=", "Secret=" + secret} {
		if key, err := parseAzureKey(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s is taken: %s, %v", bad, key.id, err)
		}
	}
}
