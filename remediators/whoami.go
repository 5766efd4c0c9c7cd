package remediators

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"sideledger/ledger"
)

// WhoamiConfig says how a system is asked whether it takes our credential: by a read that needs it and little else.
type WhoamiConfig struct {
	Path    string            `yaml:"path"`    // relative to url, with its query: a GET
	Headers map[string]string `yaml:"headers"` // see [CheckHeader]
	Status  []int             `yaml:"status"`  // of an answer to a credential that is taken; absent: 200
	Refused []int             `yaml:"refused"` // of one to a credential that is not; absent: 401 and 403
	Expires ExpiresConfig     `yaml:"expires"` // where the answer says when it ends
}

// ExpiresConfig is where an answer says when the credential ends. Not both.
type ExpiresConfig struct {
	Header  string `yaml:"header"`
	Pointer string `yaml:"pointer"` // JSON pointer into the body
}

// A Whoamist is a remediator that knows itself how its system is asked; the configuration goes before it.
type Whoamist interface {
	// Whoami returns it; nil: it does not know.
	Whoami() *WhoamiConfig
}

// whoamiOf returns how a system is asked; nil: there is no way.
func whoamiOf(c SystemConfig, made ledger.Remediator) *WhoamiConfig {
	if w, ok := made.(Whoamist); ok && c.Whoami == nil {
		return w.Whoami()
	}
	return c.Whoami
}

// Validate says what is wrong, by field; a nil one is in order.
func (w *WhoamiConfig) Validate(add func(field, msg string)) {
	if w == nil {
		return
	}
	path, query, _ := strings.Cut(w.Path, "?")
	if err := CheckPath(path); err != nil {
		add("whoami.path", err.Error())
	}
	if why := checkQuery(query); why != "" {
		add("whoami.path", why)
	}
	for name, value := range w.Headers {
		if err := CheckHeader(name, value); err != nil {
			add("whoami.headers", name+" "+err.Error())
		}
	}
	for _, s := range slices.Concat(w.Status, w.Refused) {
		if s < 200 || s > 599 {
			add("whoami.status", "is a list of HTTP statuses, 200 to 599")
		}
	}
	w.Expires.validate(add)
}

func (e ExpiresConfig) validate(add func(field, msg string)) {
	switch {
	case e.Header != "" && e.Pointer != "":
		add("whoami.expires", "has a header or a pointer, not both")
	case e.Header != "" && !httpguts.ValidHeaderFieldName(e.Header):
		add("whoami.expires.header", "is not a header name")
	case e.Pointer != "" && !strings.HasPrefix(e.Pointer, "/"):
		add("whoami.expires.pointer", `is no JSON pointer: "/expires_at"`)
	}
}

func (w *WhoamiConfig) call() Call {
	path, query, _ := strings.Cut(w.Path, "?")
	return Call{Method: http.MethodGet, Path: path, Query: query, Header: w.Headers}
}

// credentialMark is another for another secret: a hash with a salt of this client alone. Empty: there is nothing to ask
// and nothing to read.
func (c *Client) credentialMark(w *WhoamiConfig) string {
	if c == nil || c.credential == "" {
		return ""
	}
	secret, err := Resolve(c.credential, c.getenv)
	switch {
	case err != nil && w == nil, err == nil && w == nil && c.ownExpiry(secret).IsZero():
		return ""
	case err != nil:
		return "unreadable"
	}
	list, ok := c.secretTexts()
	if !ok {
		return "unreadable"
	}
	sum := sha256.Sum256(append(c.salt[:], strings.Join(list, "\n")...))
	return hex.EncodeToString(sum[:])
}

// checkCredential asks the system, and reads what the credential says of itself.
func (c *Client) checkCredential(ctx context.Context, w *WhoamiConfig) ledger.Credential {
	secret, err := Resolve(c.credential, c.getenv)
	if err != nil {
		return ledger.Credential{State: ledger.CredentialRefused, Detail: err.Error()}
	}
	out := ledger.Credential{State: ledger.CredentialUnasked, ExpiresAt: c.ownExpiry(secret)}
	if w == nil {
		return out
	}
	reply, err := c.Exchange(ctx, w.call())
	if err != nil {
		out.State, out.Detail = ledger.CredentialUnknown, "it could not be asked"
		var call *ledger.CallError
		if errors.As(err, &call) {
			out.Detail += ": " + call.Detail
		}
		return out
	}
	out.State = w.judge(reply)
	if out.State != ledger.CredentialAccepted {
		out.Detail = "whoami answered " + strconv.Itoa(reply.Status)
	}
	if at := w.expiry(reply); out.ExpiresAt.IsZero() || !at.IsZero() && at.Before(out.ExpiresAt) {
		out.ExpiresAt = at
	}
	return out
}

// judge says what an answer to the question means. A limit that was reached says nothing.
func (w *WhoamiConfig) judge(r Reply) ledger.CredentialState {
	good, bad := w.Status, w.Refused
	if len(good) == 0 {
		good = []int{http.StatusOK}
	}
	if len(bad) == 0 {
		bad = []int{http.StatusUnauthorized, http.StatusForbidden}
	}
	switch {
	case slices.Contains(good, r.Status):
		return ledger.CredentialAccepted
	case limited(r.Status, r.Header), !slices.Contains(bad, r.Status):
		return ledger.CredentialUnknown
	default:
		return ledger.CredentialRefused
	}
}

// expiry reads when the credential ends; zero: it does not, or the answer does not say.
func (w *WhoamiConfig) expiry(r Reply) time.Time {
	switch {
	case w.Expires.Header != "":
		return moment(r.Field(w.Expires.Header))
	case w.Expires.Pointer == "" || r.BodyErr != nil || deep(r.Body):
		return time.Time{}
	}
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.UseNumber()
	var doc any
	if dec.Decode(&doc) != nil {
		return time.Time{}
	}
	for token := range strings.SplitSeq(w.Expires.Pointer[1:], "/") {
		members, _ := doc.(map[string]any)
		doc = members[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	switch v := doc.(type) {
	case string:
		return moment(v)
	case json.Number:
		return moment(v.String())
	default:
		return time.Time{}
	}
}

// moments are the ways in which third parties write a time.
var moments = []string{time.RFC3339, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", time.DateTime, time.RFC1123, time.DateOnly}

// moment reads a time; zero if it is none, or the year 1 (as some say never). A number is seconds since 1970, or
// milliseconds where those would be in another age. A day is its beginning: what ends on it may end then.
func moment(s string) time.Time {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n <= 0:
			return time.Time{}
		case n > 1e11:
			return time.UnixMilli(n).UTC()
		}
		return time.Unix(n, 0).UTC()
	}
	for _, layout := range moments {
		if at, err := time.Parse(layout, s); err == nil && at.Year() > 1 {
			return at.UTC()
		}
	}
	return time.Time{}
}

// ownExpiry reads the end that a credential says of itself: the exp of a JSON web token (RFC 7519, section 4.1.4).
// Nothing else of it is looked at, and its signature is for the third party to check.
func (c *Client) ownExpiry(secret ledger.Secret) time.Time {
	switch c.auth.Scheme {
	case "", schemeBearer, schemeHeader:
	default:
		return time.Time{}
	}
	parts := strings.Split(secret.Reveal(), ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	var claims struct {
		Exp json.Number `json:"exp"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return time.Time{}
	}
	whole, _, _ := strings.Cut(claims.Exp.String(), ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds <= 0 || seconds > 253402300799 { // the year 9999
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// CredentialMark implements [ledger.CredentialChecker].
func (s *sheltered) CredentialMark() string { return s.client.credentialMark(s.whoami) }

// CheckCredential implements [ledger.CredentialChecker].
func (s *sheltered) CheckCredential(ctx context.Context) ledger.Credential {
	return s.client.checkCredential(ctx, s.whoami)
}
