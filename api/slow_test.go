package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sideledger/api/wire"
)

// longEnough ends a test that would hang. No test is decided by it.
const longEnough = 30 * time.Second

// A line is a raw connection to a server.
type line struct {
	*bench
	net.Conn
}

func (b *bench) dial(url string) *line {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(longEnough)); err != nil {
		b.Fatal(err)
	}
	return &line{b, conn}
}

func (l *line) say(text string) {
	l.Helper()
	if _, err := io.WriteString(l, text); err != nil {
		l.Fatal(err)
	}
}

// head is a request's head, and length the body that it promises.
func (l *line) head(method, path string, length int) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		method, path, l.admin, length)
}

// dropped waits until the server has closed the connection, and returns what it said before.
func (l *line) dropped(what string) string {
	l.Helper()
	said, err := io.ReadAll(l)
	if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net returns it
		l.Errorf("%s: the connection is still there", what)
	}
	return string(said)
}

// A census knows which requests have been handled to their end.
type census struct {
	next  http.Handler
	ended map[string]int // what was taken from left and not asked for yet, by path
	left  chan departure
}

// A departure is a request whose handling has ended.
type departure struct {
	path   string
	broken bool // it was broken off
}

func newCensus() *census { return &census{ended: map[string]int{}, left: make(chan departure, 1000)} }

// around puts the census before the server's handler.
func (c *census) around(srv *http.Server) { c.next, srv.Handler = srv.Handler, c }

func (c *census) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		broken := recover()
		c.left <- departure{r.URL.Path, broken != nil}
		if broken != nil {
			panic(broken)
		}
	}()
	c.next.ServeHTTP(w, r)
}

// gone waits until a request of this path was broken off.
func (c *census) gone(t *testing.T, path string) {
	t.Helper()
	enough := time.NewTimer(longEnough)
	defer enough.Stop()
	for c.ended[path] == 0 {
		select {
		case d := <-c.left:
			if d.path == path && !d.broken {
				t.Fatalf("%s came to its end: the kernel has taken what nobody reads", path)
			}
			c.ended[d.path]++
		case <-enough.C:
			t.Fatalf("%s is still being handled", path)
		}
	}
	c.ended[path]--
}

// worksFor records through a server as a well-behaved client does.
func (b *bench) worksFor(url, windowID string, n int) {
	b.Helper()
	c := b.client(url)
	for i := range n {
		if _, err := c.Record(b.Context(), windowID, b.draft(fmt.Sprintf("/well/%d", i))); err != nil {
			b.Fatal(err)
		}
	}
}

// Heads and bodies that come byte by byte end with the server's patience; meanwhile others are served.
func TestSlowRequests(t *testing.T) {
	b := newBench(t)
	w := b.window("w")
	url, srv := b.serve(func(s *http.Server) { s.ReadHeaderTimeout, s.ReadTimeout = time.Second, time.Second })
	if srv.ReadTimeout >= readTimeout || headerTimeout > readTimeout {
		t.Fatal("the limits that are tested are not tighter than the real ones")
	}
	var heads, bodies []*line
	for range 50 {
		l := b.dial(url)
		l.say("POST /v1/windows HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		heads = append(heads, l)
		l = b.dial(url)
		l.say(l.head("POST", "/v1/windows", 1000) + `{"name":"`)
		bodies = append(bodies, l)
	}
	b.worksFor(url, w.ID, 20)
	for _, l := range heads {
		if said := l.dropped("a head"); strings.HasPrefix(said, "HTTP/1.1 2") {
			t.Errorf("a head that never came is answered %s", said)
		}
	}
	for _, l := range bodies {
		if said := l.dropped("a body"); said != "" && !strings.HasPrefix(said, "HTTP/1.1 400") {
			t.Errorf("a body that never came is answered %s", said)
		}
	}
	var list wire.WindowList
	b.do(req{method: "GET", path: "/v1/windows"}, 200, &list)
	if len(list.Items) != 1 {
		t.Errorf("%d windows", len(list.Items))
	}
}

// large records enough that a plan and a journal do not fit into the buffers of a connection.
func (b *bench) large(windowID string) {
	b.Helper()
	big := `"` + strings.Repeat("x", 200_000) + `"`
	for i := range 10 {
		d := b.draft(fmt.Sprintf("/large/%d", i))
		d.Before, d.After = []byte(`{"v":1,"big":`+big+`}`), []byte(`{"v":2,"big":`+big+`}`)
		b.shelf.put(fmt.Sprintf("/large/%d", i), string(d.After))
		b.record(windowID, d)
	}
}

// smallBuffers keeps the kernel from taking what nobody reads.
func smallBuffers(s *http.Server) {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(4096)
		}
		return ctx
	}
}

// Whoever does not read a plan, a journal or a stream of events is dropped; meanwhile others are served.
func TestReadersThatDoNotRead(t *testing.T) {
	b := newBench(t, func(c *Config) { c.WriteTimeout = time.Second })
	w := b.window("w")
	b.large(w.ID)
	seen := newCensus()
	url, _ := b.serve(smallBuffers, seen.around)
	paths := []string{"/plan", "/journal", "/events"}
	for _, p := range paths {
		for range 3 {
			l := b.dial(url)
			if err := l.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
				t.Fatal(err)
			}
			l.say(l.head("GET", "/v1/windows/"+w.ID+p, 0))
		}
	}
	b.worksFor(url, b.window("other").ID, 20)
	for _, p := range paths {
		for range 3 {
			seen.gone(t, "/v1/windows/"+w.ID+p)
		}
	}
}

// A server that is told to end does so though clients are slow: streams of events end at once, the others
// with the server's patience.
func TestShutdownWithSlowClients(t *testing.T) {
	b := newBench(t, func(c *Config) { c.WriteTimeout = time.Second })
	w := b.window("w")
	b.large(w.ID)
	seen := newCensus()
	url, srv := b.serve(smallBuffers, seen.around, func(s *http.Server) { s.ReadHeaderTimeout, s.ReadTimeout = time.Second, time.Second })
	slow := b.dial(url)
	slow.say(slow.head("POST", "/v1/windows", 1000) + "{")
	deaf := b.dial(url)
	if err := deaf.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	deaf.say(deaf.head("GET", "/v1/windows/"+w.ID+"/journal", 0))
	events := b.open(url+"/v1/windows/"+b.window("quiet").ID+"/events", nil)
	if ids, _ := numbers(t, events, 1); len(ids) != 1 {
		t.Fatal("no event")
	}
	b.worksFor(url, w.ID, 1)
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	if err := b.api.Shutdown(ctx, srv); err != nil {
		t.Errorf("the server did not end: %v", err)
	}
	seen.gone(t, "/v1/windows/"+w.ID+"/journal")
	slow.dropped("a body")
	if _, comments := numbers(t, events, 0); len(comments) > 0 && comments[len(comments)-1] == ": end" {
		t.Error("a stream that was broken off says that there is no more")
	}
}
