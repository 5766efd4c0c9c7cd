package remediators

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", " 1.5 ", 1500 * time.Millisecond},
		{"Retry-After", now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{"Retry-After", now.Add(-time.Hour).Format(http.TimeFormat), 0},
		{"Retry-After", "Sunday, 22-Nov-26 12:00:30 GMT", 30 * time.Second},
		{"Retry-After", "86400", time.Hour},
		{"Retry-After", "-3", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "1e300", time.Hour},
		{"Retry-After-Ms", "250", 250 * time.Millisecond},
		{"X-Ms-Retry-After-Ms", "1200", 1200 * time.Millisecond},
		{"X-RateLimit-Reset", strconv.FormatInt(now.Unix()+30, 10), 30 * time.Second},
		{"X-RateLimit-Reset", strconv.FormatInt(now.UnixMilli()+2500, 10), 2500 * time.Millisecond},
		{"X-RateLimit-Reset", "12", 12 * time.Second},
		{"X-Rate-Limit-Reset", "12", 12 * time.Second},
		{"RateLimit-Reset", "9", 9 * time.Second},
		{"RateLimit-Reset", strconv.FormatInt(now.Unix()+10*3600, 10), time.Hour},
		{"RateLimit", "limit=100, remaining=0, reset=8", 8 * time.Second},
		{"RateLimit", `"default";r=0;t=6`, 6 * time.Second},
		{"X-Other", "5", 0},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%s: %s: %s, want %s", c.name, c.value, got, c.want)
		}
	}
	h := http.Header{"Retry-After": {"3"}, "X-Ratelimit-Reset": {"40"}}
	if got := retryAfter(h, now); got != 3*time.Second {
		t.Errorf("Retry-After goes first: %s", got)
	}
}

// GitHub answers 403 for a used-up quota; that is not about the credential.
func TestForbiddenByQuota(t *testing.T) {
	for _, h := range []http.Header{{"Retry-After": {"3"}}, {"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"3"}}} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range h {
				w.Header()[k] = v
			}
			w.WriteHeader(403)
		})
		client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true})
		reply, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		if err != nil || reply.Status != 429 || reply.RetryAfter != 3*time.Second {
			t.Errorf("%v: %+v, %v", h, reply, err)
		}
	}
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-RateLimit-Reset", "30")
		w.WriteHeader(500)
	})
	client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true})
	if reply, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"}); err != nil || reply.RetryAfter != 0 {
		t.Errorf("a quota that is not used up asks for nothing: %+v, %v", reply, err)
	}
}
