package remediators

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// most is what one call may allocate, in bytes, whatever is answered; it covers the third party's side of
// the test too.
const most = 12 << 20

// A piped system is one whose third party is a function over connections in memory.
type piped struct {
	reg    *Registry
	client *Client
	done   chan struct{}
	served sync.WaitGroup
}

func newPiped(t *testing.T, scheme string, serve func(conn net.Conn, done <-chan struct{})) *piped {
	t.Helper()
	p := &piped{done: make(chan struct{})}
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		p.served.Go(func() {
			defer far.Close()
			serve(far, p.done)
		})
		return near, nil
	}
	reg, _, err := NewRegistry(Options{
		Systems:   map[string]SystemConfig{"sys": {Remediator: "nothing", URL: scheme + "://third.party", Credential: "env:TOKEN"}},
		Factories: nothingFactory(), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: environment{"TOKEN": canary}.get, DialFunc: dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, rem, _ := reg.Find("sys")
	p.reg, p.client = reg, rem.(*sheltered).inner.(*nothing).client
	return p
}

func (p *piped) close() {
	close(p.done)
	p.reg.Close()
	p.served.Wait()
}

// allocated returns how many bytes fn allocates, with all that goes on meanwhile.
func allocated(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Whatever is answered, a call ends within its time and its memory, and says what is known.
func TestOutgoingBodies(t *testing.T) {
	var slowest time.Duration
	var largest int64
	spells := remediatortest.Spells()
	for _, s := range spells {
		for _, call := range []Call{{Method: "GET", Path: "/a"}, {Method: "PUT", Path: "/a", Body: []byte("{}")}, {Method: "DELETE", Path: "/a", Fresh: true}} {
			synctest.Test(t, func(t *testing.T) {
				p := newPiped(t, "http", s.ServeFunc)
				defer p.close()
				begun := time.Now()
				var reply Reply
				var err error
				bytes := allocated(func() { reply, err = p.client.Do(t.Context(), call) })
				took := time.Since(begun)
				slowest, largest = max(slowest, took), max(largest, bytes)
				if took > callTimeout || bytes > most {
					t.Errorf("%s: %s took %s and %d KiB", s.Name, call.Method, took, bytes>>10)
				}
				got := remediatortest.Whole
				switch {
				case err != nil:
					got = class(err)
				case reply.BodyErr != nil:
					got = remediatortest.Unwhole
				}
				if got != s.Want || reply.Status != s.Status || len(reply.Body) > 2 {
					t.Errorf("%s: %s: %s, status %d, %d bytes, %v, %v", s.Name, call.Method, got, reply.Status, len(reply.Body), reply.BodyErr, err)
				}
			})
		}
	}
	t.Logf("figure: %d ways to answer; the slowest call took %s, the largest %d KiB with both ends", len(spells), slowest, largest>>10)
}

// What stands behind an answer is never taken for the answer to the next call.
func TestOutgoingLeftovers(t *testing.T) {
	log.SetOutput(io.Discard) // net/http says what it found; see hush in cmd/ledgerd
	defer log.SetOutput(os.Stderr)
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""
	for _, answer := range []string{
		ok200 + poison, strings.Replace(ok200, "{}", "{}"+poison, 1), "HTTP/1.1 204 No Content\r\n\r\n" + poison,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + poison, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n" + poison,
	} {
		synctest.Test(t, func(t *testing.T) {
			serve := remediatortest.Serving(answer)
			p := newPiped(t, "http", serve)
			defer p.close()
			for range 3 {
				reply, err := p.client.Do(t.Context(), Call{Method: "GET", Path: "/a"})
				if err != nil || strings.Contains(string(reply.Body), "poison") {
					t.Errorf("%q: %q, %v", answer, reply.Body, err)
				}
				synctest.Wait()
			}
		})
	}
}

// A system that never finishes what it says is as good as silent: its breaker opens, and from then on it
// gets one call in each of its breaker's times.
func TestOutgoingBreakerOfSlowBodies(t *testing.T) {
	for _, s := range remediatortest.Spells() {
		if s.Name != "headers and silence" && s.Name != "a byte a second" && s.Name != "reads and never answers" && s.Name != "gzip, silence at once" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPiped(t, "http", s.ServeFunc)
			defer p.close()
			for range silentLimit {
				_, _ = p.client.Do(t.Context(), Call{Method: "GET", Path: "/a"})
			}
			if st := p.reg.List()[0]; st.Breaker != "open" {
				t.Errorf("%s: %+v", s.Name, st)
			}
			sent, until := 0, time.Now().Add(10*time.Minute)
			for time.Now().Before(until) {
				_, err := p.client.Do(t.Context(), Call{Method: "GET", Path: "/a"})
				if class(err) != "away" {
					sent++
				}
				time.Sleep(time.Second)
			}
			if sent > 20 {
				t.Errorf("%s: %d calls in ten minutes while it is away", s.Name, sent)
			}
		})
	}
}

// What goes wrong before TLS is there is not_sent, and the credential has not left.
func TestOutgoingTLS(t *testing.T) {
	hold := func(_ net.Conn, done <-chan struct{}) { <-done }
	say := func(answer string) func(net.Conn, <-chan struct{}) {
		return func(conn net.Conn, done <-chan struct{}) {
			buf := make([]byte, 4096)
			n, _ := conn.Read(buf)
			if strings.Contains(string(buf[:n]), canary) {
				t.Error("the credential left without TLS")
			}
			_, _ = conn.Write([]byte(answer))
			<-done
		}
	}
	for name, serve := range map[string]func(net.Conn, <-chan struct{}){
		"never reads": hold, "closes": func(net.Conn, <-chan struct{}) {}, "says nothing": say(""), "speaks HTTP": say(ok200),
		"redirects to plain HTTP": say("HTTP/1.1 301 Moved\r\nLocation: http://third.party/\r\n\r\n"), "an alert": say("\x15\x03\x01\x00\x02\x02\x28"),
		"half a record": say("\x16\x03\x03\x40\x00"), "a record too long": say("\x16\x03\x03\xff\xff" + strings.Repeat("x", 100)), "nonsense": say(strings.Repeat("\xff", 100)),
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPiped(t, "https", serve)
			defer p.close()
			begun := time.Now()
			_, err := p.client.Do(t.Context(), Call{Method: "PUT", Path: "/a", Body: []byte("{}")})
			var call *ledger.CallError
			if !errors.As(err, &call) || call.Class != ledger.CallNotSent || time.Since(begun) > callTimeout {
				t.Errorf("%s: %v after %s", name, err, time.Since(begun))
			}
		})
	}
}
