package remediators

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sideledger/ledger"
)

const canary = "canary-91c2-secret"

// nothing is a remediator that does nothing; the client is what is tested.
type nothing struct {
	ledger.Remediator
	client *Client
	lane   *Lane
}

// environment is a lookup in a map.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

func newRegistry(t *testing.T, c SystemConfig, clock ledger.Clock, log io.Writer) (*Registry, *Client) {
	t.Helper()
	c.Remediator = "nothing"
	reg, _, err := NewRegistry(Options{
		Systems: map[string]SystemConfig{"sys": c},
		Factories: map[string]Factory{"nothing": func(b Binding) (ledger.Remediator, error) {
			return &nothing{client: b.Client, lane: b.Lane}, nil
		}},
		Clock: clock, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Getenv: environment{"TOKEN": canary, "PAIR": "user:" + canary, "AWS": "AKID:" + canary + ":session"}.get,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	_, rem, err := reg.Find("sys")
	if err != nil {
		t.Fatal(err)
	}
	return reg, rem.(*sheltered).inner.(*nothing).client
}

func newTestClient(t *testing.T, c SystemConfig) *Client {
	t.Helper()
	_, client := newRegistry(t, c, time.Now, io.Discard)
	return client
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func class(err error) string {
	var call *ledger.CallError
	if errors.As(err, &call) {
		return string(call.Class)
	}
	return fmt.Sprint(err)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, code := range []int{300, 301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			var mu sync.Mutex
			elsewhere := 0
			evil := serve(t, func(http.ResponseWriter, *http.Request) { mu.Lock(); elsewhere++; mu.Unlock() })
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", strings.Replace(evil, "127.0.0.1", "localhost", 1)+"/x")
				w.WriteHeader(code)
			})
			client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true, Credential: "env:TOKEN"})
			for _, method := range []string{"GET", "POST", "DELETE"} {
				reply, err := client.Do(t.Context(), Call{Method: method, Path: "/a", Body: []byte(`{"v":1}`)})
				if err != nil || reply.Status != code {
					t.Errorf("%s: %d, %v", method, reply.Status, err)
				}
			}
			if elsewhere != 0 {
				t.Errorf("%d calls arrived where the redirect leads", elsewhere)
			}
		})
	}
}

func TestProxyVariablesAreIgnored(t *testing.T) {
	var asked []string
	proxy := serve(t, func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.String()) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy)
	}
	// A name that only a proxy would take: without one it is not found.
	client := newTestClient(t, SystemConfig{URL: "http://third.party.invalid", AllowPrivate: true, Credential: "env:TOKEN"})
	_, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
	if class(err) != "not_sent" || len(asked) > 0 {
		t.Errorf("%v; the proxy was asked for %v", err, asked)
	}
	denied := newTestClient(t, SystemConfig{URL: "http://169.254.169.254", AllowPrivate: true})
	if _, err := denied.Do(t.Context(), Call{Method: "GET", Path: "/latest"}); class(err) != "denied" || len(asked) > 0 {
		t.Errorf("%v; the proxy was asked for %v", err, asked)
	}
	if client.kept.Proxy != nil || client.fresh.Proxy != nil {
		t.Error("the transport has a proxy")
	}
}

// killer answers the first request of each connection and, on a kept connection, reads the next request
// and closes without an answer: what a dead kept connection looks like from outside.
type killer struct {
	mu  sync.Mutex
	got []string
}

func (k *killer) start(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go k.serve(conn)
		}
	}()
	return "http://" + l.Addr().String()
}

func (k *killer) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for n := 0; ; n++ {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		k.mu.Lock()
		k.got = append(k.got, req.Method)
		k.mu.Unlock()
		if n > 0 {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	}
}

func TestChangingCallsAreNeverSentTwice(t *testing.T) {
	for _, c := range []Call{
		{Method: "DELETE"},
		{Method: "DELETE", Header: map[string]string{"Idempotency-Key": "k"}},
		{Method: "DELETE", Header: map[string]string{"x-idempotency-key": "k"}},
		{Method: "POST", Header: map[string]string{"Idempotency-Key": "k"}},
		{Method: "POST", Header: map[string]string{"Idempotency-Key": "k"}, Body: []byte(`{"v":1}`)},
		{Method: "PUT", Header: map[string]string{"X-Idempotency-Key": "k"}, Body: []byte(`{"v":1}`)},
		{Method: "PATCH", Body: []byte(`{"v":1}`)},
	} {
		t.Run(fmt.Sprintf("%s %v %d", c.Method, c.Header, len(c.Body)), func(t *testing.T) {
			k := &killer{}
			client := newTestClient(t, SystemConfig{URL: k.start(t), AllowPrivate: true})
			c.Path = "/r/1"
			if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/r/1"}); err != nil {
				t.Fatal(err)
			}
			_, err := client.Do(t.Context(), c)
			if class(err) != "ambiguous" {
				t.Errorf("%v, want ambiguous", err)
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if got := strings.Join(k.got, " "); got != "GET "+c.Method {
				t.Errorf("arrived: %s", got)
			}
		})
	}
}

// A call with a connection of its own never meets a dead one.
func TestFreshConnection(t *testing.T) {
	k := &killer{}
	client := newTestClient(t, SystemConfig{URL: k.start(t), AllowPrivate: true})
	for range 3 {
		if _, err := client.Do(t.Context(), Call{Method: "GET", Path: "/r/1", Fresh: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(t.Context(), Call{Method: "POST", Path: "/r/1", Body: []byte(`{"v":1}`), Fresh: true}); err != nil {
			t.Fatal(err)
		}
	}
	denied := newTestClient(t, SystemConfig{URL: "http://127.0.0.1:1"})
	if _, err := denied.Do(t.Context(), Call{Method: "POST", Path: "/", Fresh: true}); class(err) != "denied" {
		t.Errorf("its address is checked too: %v", err)
	}
}

// deafAddress returns an address of this machine at which nobody listens, and nobody else can until the test ends.
func deafAddress(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
}

func TestNotSentIsProvable(t *testing.T) {
	nobody := "http://" + deafAddress(t)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	selfSigned := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it came through") }))
	selfSigned.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(selfSigned.Close)
	for url, want := range map[string]string{
		nobody:                        "the connection was refused",
		"http://name.invalid":         "the name was not found",
		"https" + plain[len("http"):]: "it does not speak TLS",
		selfSigned.URL:                "the certificate is not valid for this address",
	} {
		client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true, Credential: "env:TOKEN"})
		_, err := client.Do(t.Context(), Call{Method: "PUT", Path: "/a", Body: []byte("{}")})
		var call *ledger.CallError
		if !errors.As(err, &call) || call.Class != ledger.CallNotSent || call.Detail != want {
			t.Errorf("%s: %v, want not_sent: %s", url, err, want)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"body": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody+1)) },
		"encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "{}")
		},
		"not gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "{}")
		},
	} {
		client := newTestClient(t, SystemConfig{URL: serve(t, h), AllowPrivate: true})
		reply, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
		if err != nil || reply.Status != 200 || reply.BodyErr == nil || len(reply.Body) > 0 {
			t.Errorf("%s: status %d, %d bytes, %v, %v", name, reply.Status, len(reply.Body), reply.BodyErr, err)
		}
	}
	whole := newTestClient(t, SystemConfig{AllowPrivate: true, URL: serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody)) })})
	if reply, err := whole.Do(t.Context(), Call{Method: "GET", Path: "/"}); err != nil || reply.BodyErr != nil || len(reply.Body) != maxBody {
		t.Errorf("exactly 1 MiB: %d bytes, %v, %v", len(reply.Body), reply.BodyErr, err)
	}
	headers := newTestClient(t, SystemConfig{AllowPrivate: true, URL: serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Junk", strings.Repeat("x", 2*maxHeaders))
	})})
	if _, err := headers.Do(t.Context(), Call{Method: "GET", Path: "/"}); class(err) != "ambiguous" {
		t.Errorf("headers without end: %v", err)
	}
}

func TestTrailersAreSeen(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "ETag")
		_, _ = io.WriteString(w, "{}")
		w.Header().Set("ETag", `"x"`)
	})
	client := newTestClient(t, SystemConfig{URL: url, AllowPrivate: true})
	reply, err := client.Do(t.Context(), Call{Method: "GET", Path: "/"})
	if err != nil || reply.Field("ETag") != `"x"` || reply.Header.Get("ETag") != "" {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestBasePathAndAllowList(t *testing.T) {
	var got string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Method + " " + r.RequestURI })
	client := newTestClient(t, SystemConfig{URL: url + "/base/", AllowPrivate: true, Allow: []string{"GET /api/*", "POST /api/*/on", "* /any"}})
	for call, want := range map[string]string{
		"GET /api/a": "GET /base/api/a", "GET /api/a%2Fb": "GET /base/api/a%2Fb", "POST /api/a/b/on": "POST /base/api/a/b/on",
		"DELETE /any": "DELETE /base/any", "POST /api/a": "", "GET /apix": "", "GET /api": "", "DELETE /api/a": "",
		"GET /api/../x": "", "GET /api/%2e%2e/x": "", "GET /api/a%2F..%2F..%2Fx": "", "POST /api/on": "",
	} {
		got = ""
		method, path, _ := strings.Cut(call, " ")
		_, err := client.Do(t.Context(), Call{Method: method, Path: path})
		if got != want || (want == "" && class(err) != "denied") {
			t.Errorf("%s: arrived %q, want %q (%v)", call, got, want, err)
		}
	}
}

func TestRelative(t *testing.T) {
	client := newTestClient(t, SystemConfig{URL: "https://api.example.com/v1"})
	for location, want := range map[string]string{
		"https://api.example.com/v1/jobs/1?a=b": "/jobs/1?a=b", "/v1/jobs/1": "/jobs/1?", "//api.example.com/v1/jobs/1": "/jobs/1?",
		"https://evil.example.com/v1/jobs/1": "", "http://api.example.com/v1/jobs/1": "", "/v2/jobs/1": "", "/v1/../admin": "",
		"https://u:p@api.example.com/v1/jobs/1": "", "/v1/%2e%2e/admin": "", "": "", "javascript:alert(1)": "", "/v1x": "",
	} {
		got := ""
		if path, query, ok := client.Relative(location); ok {
			got = path + "?" + query
		}
		if got != want {
			t.Errorf("%q: %q, want %q", location, got, want)
		}
	}
}

func TestCancelledCallsSayNothingOfTheSystem(t *testing.T) {
	stop := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	})
	defer close(stop)
	reg, client := newRegistry(t, SystemConfig{URL: url, AllowPrivate: true}, time.Now, io.Discard)
	for range silentLimit + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := client.Do(ctx, Call{Method: "PUT", Path: "/", Body: []byte("{}")}); class(err) != "ambiguous" {
			t.Errorf("%v", err)
		}
		cancel()
	}
	if st := reg.List()[0]; st.Breaker != "closed" {
		t.Errorf("our own cancelling opened the breaker: %+v", st)
	}
}
