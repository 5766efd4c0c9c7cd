package remediators

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A judge is a listener that keeps every byte that arrives, and where it arrived. It decides the cases
// about outgoing calls: what the code says about itself does not count.
type judge struct {
	listeners []net.Listener
	answer    string // raw, to every request

	mu      sync.Mutex
	arrived []*arrival
	settled *sync.Cond
}

// An arrival is one connection.
type arrival struct {
	at   string // the address that was dialled
	got  bytes.Buffer
	over bool // the other side has closed it
}

const ok200 = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

// newJudge listens at each address; an address without a port takes the first one's.
func newJudge(t *testing.T, answer string, addresses ...string) *judge {
	t.Helper()
	j := &judge{answer: answer}
	j.settled = sync.NewCond(&j.mu)
	for _, a := range addresses {
		if len(j.listeners) > 0 && strings.HasSuffix(a, ":") {
			a += j.port()
		}
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		j.listeners = append(j.listeners, l)
		go j.accept(l)
	}
	return j
}

func (j *judge) port() string {
	_, port, _ := net.SplitHostPort(j.listeners[0].Addr().String())
	return port
}

// url is the first address.
func (j *judge) url() string { return "http://" + j.listeners[0].Addr().String() }

func (j *judge) say(answer string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answer = answer
}

func (j *judge) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		a := &arrival{at: conn.LocalAddr().String()}
		j.mu.Lock()
		j.arrived = append(j.arrived, a)
		j.settled.Broadcast()
		j.mu.Unlock()
		go j.serve(conn, a)
	}
}

// keeper writes into an arrival under the judge's lock.
type keeper struct {
	j *judge
	a *arrival
}

func (k keeper) Write(p []byte) (int, error) {
	k.j.mu.Lock()
	defer k.j.mu.Unlock()
	return k.a.got.Write(p)
}

func (j *judge) serve(conn net.Conn, a *arrival) {
	defer conn.Close()
	defer func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		a.over = true
		j.settled.Broadcast()
	}()
	in := bufio.NewReader(io.TeeReader(conn, keeper{j, a}))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		j.mu.Lock()
		answer := j.answer
		j.mu.Unlock()
		if _, err := io.WriteString(conn, answer); err != nil || strings.Contains(answer, "Connection: close") {
			return
		}
	}
}

// verdict returns what has arrived since the last verdict, whole: it knocks at every listener and waits
// until it is let in, so that whoever came before was counted.
func (j *judge) verdict(t *testing.T) []*arrival {
	t.Helper()
	for _, l := range j.listeners {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		host, _, _ := net.SplitHostPort(l.Addr().String())
		if ip := net.ParseIP(host); ip.IsUnspecified() {
			host = map[bool]string{true: "127.0.0.1", false: "::1"}[ip.To4() != nil]
		}
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, knock)
		_ = conn.Close()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		var others []*arrival
		let := 0
		for _, a := range j.arrived {
			if a.over && a.got.String() == knock {
				let++
			} else {
				others = append(others, a)
			}
		}
		if let == len(j.listeners) {
			j.arrived = nil
			return others
		}
		j.settled.Wait()
	}
}

const knock = "knock"

// everything returns all bytes of some arrivals, safely while they go on.
func (j *judge) everything(list []*arrival) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, a := range list {
		b.Write(a.got.Bytes())
	}
	return b.String()
}

// holdsSecret reports whether text holds the canary in any form that gives it away.
func holdsSecret(text string) bool {
	for _, plain := range []string{canary, "user:" + canary, "AKID:" + canary + ":session"} {
		raw := base64.StdEncoding.EncodeToString([]byte(plain))
		if strings.Contains(text, plain) || strings.Contains(text, raw) || strings.Contains(text, strings.TrimRight(raw, "=")) {
			return true
		}
	}
	return false
}

// dialOnly dials one address, whatever it is asked for.
func dialOnly(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", address)
	}
}

// A names server answers A and AAAA questions from a table: the n-th time a name is asked for, the n-th
// list (the last one for good). It replaces the resolver of the whole process until the test ends.
type names struct {
	mu    sync.Mutex
	lists map[string][][]string
	kinds map[string]map[dnsmessage.Type]int // how often a name was asked for
}

func newNames(t *testing.T) *names {
	t.Helper()
	n := &names{lists: map[string][][]string{}, kinds: map[string]map[dnsmessage.Type]int{}}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go n.serve(conn)
	old := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = old })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: dialOnly(conn.LocalAddr().String())}
	return n
}

func (n *names) set(name string, lists ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lists[name], n.kinds[name] = lists, map[dnsmessage.Type]int{}
}

func (n *names) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var msg dnsmessage.Message
		if msg.Unpack(buf[:size]) != nil || len(msg.Questions) != 1 {
			continue
		}
		msg.Response, msg.Authoritative, msg.RecursionAvailable, msg.Additionals = true, true, true, nil
		n.answer(&msg)
		if raw, err := msg.Pack(); err == nil {
			_, _ = conn.WriteTo(raw, from)
		}
	}
}

func (n *names) answer(msg *dnsmessage.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := msg.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	lists := n.lists[name]
	if len(lists) == 0 {
		msg.RCode = dnsmessage.RCodeNameError
		return
	}
	round := n.kinds[name][q.Type]
	n.kinds[name][q.Type]++
	for _, s := range lists[min(round, len(lists)-1)] {
		ip := netip.MustParseAddr(s)
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && ip.Is4():
			msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
		case q.Type == dnsmessage.TypeAAAA && ip.Is6():
			msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
}
