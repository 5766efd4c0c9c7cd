package remediators

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait that a third party can ask for.
const maxRetryAfter = time.Hour

// resetHeaders say when a quota is full again: seconds to go, or an epoch in seconds or milliseconds,
// told apart by magnitude (GitHub sends seconds, LaunchDarkly milliseconds, Datadog seconds to go).
var resetHeaders = []string{"RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"}

// retryAfter reads how long a third party asks us to wait, in any of the dialects; 0 if it does not say
// or the moment is past. Never more than [maxRetryAfter].
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms, ok := number(h.Get(name)); ok {
			return capped(ms * float64(time.Millisecond))
		}
	}
	if v := strings.TrimSpace(h.Get("Retry-After")); v != "" {
		if s, ok := number(v); ok {
			return byMagnitude(s, now)
		}
		if at, err := http.ParseTime(v); err == nil {
			return capped(float64(at.Sub(now)))
		}
	}
	for _, name := range resetHeaders {
		if s, ok := number(h.Get(name)); ok {
			return byMagnitude(s, now)
		}
		if at, err := http.ParseTime(h.Get(name)); err == nil {
			return capped(float64(at.Sub(now)))
		}
	}
	return rateLimitField(h.Get("RateLimit"))
}

// rateLimitField reads the structured field of the IETF draft: limit=100, remaining=0, reset=30; later
// drafts say "name";r=0;t=30.
func rateLimitField(v string) time.Duration {
	for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' }) {
		k, val, _ := strings.Cut(strings.TrimSpace(part), "=")
		if k == "reset" || k == "t" {
			if s, ok := number(val); ok {
				return capped(s * float64(time.Second))
			}
		}
	}
	return 0
}

// byMagnitude reads a number as milliseconds since the epoch, seconds since the epoch, or seconds to go.
func byMagnitude(n float64, now time.Time) time.Duration {
	switch {
	case n >= 1e11:
		return capped((n - float64(now.UnixMilli())) * float64(time.Millisecond))
	case n >= 1e9:
		return capped((n - float64(now.UnixMilli())/1000) * float64(time.Second))
	default:
		return capped(n * float64(time.Second))
	}
}

func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func capped(d float64) time.Duration {
	return time.Duration(min(max(d, 0), float64(maxRetryAfter)))
}

// limited reports whether an answer means "slow down". GitHub says it with 403 and an empty quota.
func limited(status int, h http.Header) bool {
	switch status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return h.Get("Retry-After") != "" || strings.TrimSpace(h.Get("X-RateLimit-Remaining")) == "0"
	default:
		return false
	}
}
