package remediators

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"sideledger/ledger"
)

func TestMoment(t *testing.T) {
	at := time.Date(2027, 3, 1, 10, 20, 30, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2027-03-01T10:20:30Z":          at,
		"2027-03-01T12:20:30+02:00":     at,
		"2027-03-01 10:20:30 UTC":       at,
		"2027-03-01 11:20:30 +0100":     at,
		"2027-03-01 10:20:30":           at,
		"Mon, 01 Mar 2027 10:20:30 GMT": at,
		"1803896430":                    at,
		"1803896430000":                 at,
		" 2027-03-01 ":                  time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
		"":                              {},
		"0":                             {},
		"-1":                            {},
		"never":                         {},
		"0001-01-01T00:00:00Z":          {},
	} {
		if got := moment(text); !got.Equal(want) {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestOwnExpiry(t *testing.T) {
	token := func(claims string) string {
		return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	at := time.Unix(1803896430, 0).UTC()
	for _, c := range []struct {
		scheme, secret string
		want           time.Time
	}{
		{"", token(`{"exp":1803896430}`), at},
		{schemeBearer, token(`{"sub":"x","exp":1803896430.75}`), at},
		{schemeHeader, token(`{"exp":1803896430}`), at},
		{schemeBasic, token(`{"exp":1803896430}`), time.Time{}},
		{schemeHMAC, token(`{"exp":1803896430}`), time.Time{}},
		{"", token(`{"sub":"x"}`), time.Time{}},
		{"", token(`{"exp":"soon"}`), time.Time{}},
		{"", token(`{"exp":1e99}`), time.Time{}},
		{"", token(`{"exp":-5}`), time.Time{}},
		{"", token(`[1]`), time.Time{}},
		{"", "ghp_plain", time.Time{}},
		{"", "a.b.c", time.Time{}},
	} {
		cl := &Client{auth: AuthConfig{Scheme: c.scheme}}
		if got := cl.ownExpiry(ledger.NewSecret(c.secret)); !got.Equal(c.want) {
			t.Errorf("%s %s ends %s, want %s", c.scheme, c.secret, got, c.want)
		}
	}
}

// What cannot be asked is told by the token itself or not at all; a mark tells nothing of it.
func TestCredentialWithoutWhoami(t *testing.T) {
	secret := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1803896430}`)) + ".c2ln"
	cl := &Client{credential: "env:TOKEN", getenv: func(string) string { return secret }}
	mark := cl.credentialMark(nil)
	if mark == "" || strings.Contains(mark, secret[:8]) {
		t.Errorf("mark %q", mark)
	}
	got := cl.checkCredential(t.Context(), nil)
	if got.State != ledger.CredentialUnasked || got.ExpiresAt.Unix() != 1803896430 || got.Detail != "" {
		t.Errorf("got %+v", got)
	}
	before := secret
	secret = strings.Replace(secret, "c2ln", "c2lo", 1)
	if cl.credentialMark(nil) == mark {
		t.Error("another credential has the same mark")
	}
	if secret = before; cl.credentialMark(nil) != mark {
		t.Error("the same credential has another mark")
	}
	secret = "plain"
	if cl.credentialMark(nil) != "" {
		t.Error("there is something to find out about a plain token that nobody can ask about")
	}
	if (&Client{}).credentialMark(&WhoamiConfig{Path: "/x"}) != "" {
		t.Error("a system without a credential is asked about it")
	}
}

func TestWhoamiJudges(t *testing.T) {
	limit := map[string][]string{"Retry-After": {"1"}}
	for _, c := range []struct {
		whoami WhoamiConfig
		reply  Reply
		want   ledger.CredentialState
	}{
		{WhoamiConfig{}, Reply{Status: 200}, ledger.CredentialAccepted},
		{WhoamiConfig{Status: []int{204}}, Reply{Status: 200}, ledger.CredentialUnknown},
		{WhoamiConfig{Status: []int{200, 403}}, Reply{Status: 403}, ledger.CredentialAccepted},
		{WhoamiConfig{}, Reply{Status: 401}, ledger.CredentialRefused},
		{WhoamiConfig{}, Reply{Status: 403}, ledger.CredentialRefused},
		{WhoamiConfig{}, Reply{Status: 403, Header: limit}, ledger.CredentialUnknown},
		{WhoamiConfig{Refused: []int{401}}, Reply{Status: 403}, ledger.CredentialUnknown},
		{WhoamiConfig{}, Reply{Status: 404}, ledger.CredentialUnknown},
		{WhoamiConfig{}, Reply{Status: 500}, ledger.CredentialUnknown},
		{WhoamiConfig{}, Reply{Status: 302}, ledger.CredentialUnknown},
	} {
		if got := c.whoami.judge(c.reply); got != c.want {
			t.Errorf("%+v, %d: %s, want %s", c.whoami, c.reply.Status, got, c.want)
		}
	}
}

func TestWhoamiExpiry(t *testing.T) {
	w := WhoamiConfig{Expires: ExpiresConfig{Pointer: "/a~1b/end"}}
	for body, want := range map[string]int64{
		`{"a/b":{"end":1803896430}}`:             1803896430,
		`{"a/b":{"end":"2027-03-01T10:20:30Z"}}`: 1803896430,
		`{"a/b":{"end":null}}`:                   0,
		`{"a/b":{}}`:                             0,
		`{"a/b":[1]}`:                            0,
		`[`:                                      0,
		strings.Repeat("[", 1000):                0,
	} {
		got := w.expiry(Reply{Status: 200, Body: []byte(body)})
		if want == 0 != got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%.40s ends %s, want %d", body, got, want)
		}
	}
}

func TestWhoamiValidate(t *testing.T) {
	for field, w := range map[string]*WhoamiConfig{
		"":                       {Path: "/me?x=1", Status: []int{200}, Expires: ExpiresConfig{Pointer: "/end"}},
		"whoami.path":            {Path: "me"},
		"whoami.headers":         {Path: "/me", Headers: map[string]string{"Authorization": "x"}},
		"whoami.status":          {Path: "/me", Refused: []int{7}},
		"whoami.expires":         {Path: "/me", Expires: ExpiresConfig{Header: "X-End", Pointer: "/end"}},
		"whoami.expires.header":  {Path: "/me", Expires: ExpiresConfig{Header: "x y"}},
		"whoami.expires.pointer": {Path: "/me", Expires: ExpiresConfig{Pointer: "end"}},
	} {
		var got []string
		w.Validate(func(f, _ string) { got = append(got, f) })
		if strings.Join(got, " ") != field {
			t.Errorf("got %q, want %q", got, field)
		}
	}
}
