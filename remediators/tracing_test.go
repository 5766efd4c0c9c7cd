package remediators

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"sideledger/ledger"
)

// A third party is told the span that it is called under, whatever its credential: nothing that is signed changes by it, and an
// untraced system is not told. What others say of the trace stays here.
func TestTraceparentGoesOut(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
	at := func() time.Time { return time.Unix(1_800_000_000, 0) }
	for name, c := range map[string]SystemConfig{
		"none":   {},
		"bearer": {Credential: "env:TOKEN"},
		"hmac":   {Credential: "env:TOKEN", Auth: AuthConfig{Scheme: "hmac"}},
		"sigv4":  {Credential: "env:AWS", Auth: AuthConfig{Scheme: "sigv4", Region: "eu", Service: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got http.Header
			c.AllowPrivate, c.URL = true, serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
			send := func(ctx context.Context, c SystemConfig) http.Header {
				_, client := newRegistry(t, c, at, io.Discard)
				if _, err := client.Do(ctx, Call{Method: http.MethodPut, Path: "/x", Body: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
				return got
			}
			traced, plain := send(ctx, c), send(t.Context(), c)
			c.Untraced = true
			untold := send(ctx, c)
			if traced.Get("traceparent") != parent || traced.Get("tracestate") != "" || plain.Get("traceparent") != "" || untold.Get("traceparent") != "" {
				t.Errorf("traced %q, without a trace %q, untraced %q", traced.Get("traceparent"), plain.Get("traceparent"), untold.Get("traceparent"))
			}
			for _, header := range []string{"Authorization", "X-Signature"} {
				if traced.Get(header) != plain.Get(header) || strings.Contains(traced.Get(header), "traceparent") {
					t.Errorf("%s is another one: %s, %s", header, traced.Get(header), plain.Get(header))
				}
			}
		})
	}
}

// Calls that wait for their turn are counted, and only those.
func TestWaitingIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := newTestLane(SystemConfig{Rate: RateConfig{Concurrent: 1}})
		waiting := func() int { return lane.status(ledger.System{}).Waiting }
		leave, err := lane.Enter(t.Context(), true)
		if err != nil || waiting() != 0 {
			t.Fatal(err, waiting())
		}
		for range 3 {
			go func() {
				if leave, err := lane.Enter(t.Context(), true); err == nil {
					leave(ResultAnswered)
				}
			}()
		}
		synctest.Wait()
		if n := waiting(); n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		leave(ResultAnswered)
		synctest.Wait()
		if n := waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}
