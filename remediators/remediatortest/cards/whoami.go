package cards

import (
	"net/http"
	"time"
)

// whoamis are the calls by which third parties say whose credential it is, and when it ends, by the name of the card.
// Those that are not here have no call of the kind, or one of those that are kept anyway.
var whoamis = map[string]struct {
	path       string
	answerFunc func(h http.Header, ends time.Time) any // ends is zero for one that does not
}{
	"github": {"/rate_limit", func(h http.Header, ends time.Time) any {
		if !ends.IsZero() {
			h.Set("GitHub-Authentication-Token-Expiration", ends.UTC().Format("2006-01-02 15:04:05 MST"))
		}
		return map[string]any{"resources": map[string]any{"core": map[string]any{"limit": 5000, "remaining": 4999}}}
	}},
	"gitlab": {"/personal_access_tokens/self", func(_ http.Header, ends time.Time) any {
		return map[string]any{"id": 42, "active": true, "revoked": false, "expires_at": when(ends, time.DateOnly)}
	}},
	"cloudflare": {"/user/tokens/verify", func(_ http.Header, ends time.Time) any {
		result := map[string]any{"id": "ed17574386854bf78a67040be0a770b0", "status": "active"}
		if !ends.IsZero() {
			result["expires_on"] = when(ends, time.RFC3339)
		}
		return map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result}
	}},
	"consul": {"/v1/acl/token/self", func(_ http.Header, ends time.Time) any {
		doc := map[string]any{"AccessorID": "6a1253d2-1785-24fd-91c2-f8e78c745511", "Local": false}
		if !ends.IsZero() {
			doc["ExpirationTime"] = when(ends, time.RFC3339Nano)
		}
		return doc
	}},
	"launchdarkly": {"/api/v2/caller-identity", func(http.Header, time.Time) any {
		return map[string]any{"authKind": "token", "tokenKind": "auth"}
	}},
	"kubernetes": {"/api", func(http.Header, time.Time) any {
		return map[string]any{"kind": "APIVersions", "versions": []any{"v1"}}
	}},
	"pagerduty": {"/abilities", func(http.Header, time.Time) any {
		return map[string]any{"abilities": []any{"sso"}}
	}},
	"kafkaconnect": {"/", func(http.Header, time.Time) any {
		return map[string]any{"version": "3.9.0", "commit": "f9a3d1b"}
	}},
	"jenkins": {"/whoAmI/api/json", func(http.Header, time.Time) any {
		return map[string]any{"name": User, "authenticated": true, "anonymous": false}
	}},
	"posthog": {"/api/users/@me/", func(http.Header, time.Time) any {
		return map[string]any{"uuid": "018f0000-0000-0000-0000-000000000001"}
	}},
	"flipt": {"/auth/v1/self", func(_ http.Header, ends time.Time) any {
		return map[string]any{"id": "a1", "method": "METHOD_TOKEN", "expiresAt": when(ends, time.RFC3339), "metadata": map[string]any{}}
	}},
	"configcat": {"/v1/me", func(http.Header, time.Time) any {
		return map[string]any{"fullName": "Ledger", "email": "ledger@example.com"}
	}},
	"gitea": {"/user", func(http.Header, time.Time) any {
		return map[string]any{"id": 1, "login": "ledger"}
	}},
}

// when writes a moment; nil for one that never comes.
func when(at time.Time, layout string) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(layout)
}

// Expire says when the credential ends, as the third party tells it; zero: never. It goes on taking it.
func (s *Server) Expire(at time.Time) { s.locked(func() { s.ends = at }) }

// Rotate makes another credential the one that is taken.
func (s *Server) Rotate(credential string) { s.locked(func() { s.secret = credential }) }

// whoami answers the question whose credential it is; 0: it was another one.
func (s *Server) whoami(w http.ResponseWriter, r *http.Request) (status int, answer any) {
	who, ok := whoamis[s.Card.Name]
	if !ok || r.Method != http.MethodGet || r.URL.Path != who.path {
		return 0, nil
	}
	return http.StatusOK, who.answerFunc(w.Header(), s.ends)
}
