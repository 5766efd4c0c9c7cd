package remediators

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sideledger/ledger"
)

// updateAt binds an updater to an address and sends one update.
func updateAt(ctx context.Context, c SystemConfig, env string) (int, error) {
	lane := newLane("dns", time.Now, slog.New(slog.DiscardHandler), c)
	u := newUpdater(lane, c, clientEnv{getenv: func(string) string { return env }})
	return u.Send(ctx, new(dns.Msg).SetUpdate("example.test."))
}

// nameServer answers each connection with what answerFunc makes of the message; nil closes it without an answer.
func nameServer(t *testing.T, answerFunc func(m *dns.Msg) []byte) (address string, asked chan *dns.Msg) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked = make(chan *dns.Msg, 4)
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			conn := &dns.Conn{Conn: raw}
			if m, _ := conn.ReadMsg(); m != nil { // its signature is nobody's business here
				asked <- m
				if out := answerFunc(m); out != nil {
					_, _ = conn.Write(out)
				}
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String(), asked
}

func packed(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestUpdateKeepsTheRules(t *testing.T) {
	reply := func(rcode int) func(*dns.Msg) []byte {
		return func(m *dns.Msg) []byte { return packed(t, new(dns.Msg).SetRcode(m, rcode)) }
	}
	key := DNSUpdateConfig{Key: "k.", Credential: "env:K"}
	for name, c := range map[string]struct {
		answerFunc func(*dns.Msg) []byte
		config     DNSUpdateConfig
		public     bool // private addresses are not allowed
		secret     string
		want       ledger.CallClass // empty: an answer
		sent       int
	}{
		"done":                    {answerFunc: reply(dns.RcodeSuccess), sent: 1},
		"a conflict":              {answerFunc: reply(dns.RcodeNXRrset), sent: 1},
		"refused":                 {answerFunc: reply(dns.RcodeRefused), want: ledger.CallAuth, sent: 1},
		"the key is refused":      {answerFunc: reply(dns.RcodeNotAuth), config: key, secret: "c2VjcmV0", want: ledger.CallAuth, sent: 1},
		"not signed":              {answerFunc: reply(dns.RcodeSuccess), config: key, secret: "c2VjcmV0", want: ledger.CallAmbiguous, sent: 1},
		"no answer":               {answerFunc: func(*dns.Msg) []byte { return nil }, want: ledger.CallAmbiguous, sent: 1},
		"no message":              {answerFunc: func(*dns.Msg) []byte { return []byte("HTTP/1.1 200 OK") }, want: ledger.CallAmbiguous, sent: 1},
		"an answer to another":    {answerFunc: func(m *dns.Msg) []byte { m.Response = true; m.Id++; return packed(t, m) }, want: ledger.CallAmbiguous, sent: 1},
		"the question itself":     {answerFunc: func(m *dns.Msg) []byte { return packed(t, m) }, want: ledger.CallAmbiguous, sent: 1},
		"a private address":       {answerFunc: reply(dns.RcodeSuccess), public: true, want: ledger.CallDenied},
		"the secret is not there": {answerFunc: reply(dns.RcodeSuccess), config: key, want: ledger.CallDenied},
		"the secret is no base64": {answerFunc: reply(dns.RcodeSuccess), config: key, secret: "canary!", want: ledger.CallDenied},
	} {
		t.Run(name, func(t *testing.T) {
			address, asked := nameServer(t, c.answerFunc)
			c.config.Address = address
			_, err := updateAt(t.Context(), SystemConfig{Remediator: "powerdns", AllowPrivate: !c.public, DNSUpdate: c.config}, c.secret)
			var call *ledger.CallError
			if errors.As(err, &call); (c.want == "") != (err == nil) || call != nil && call.Class != c.want {
				t.Errorf("%v, want class %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the secret: %v", err)
			}
			if len(asked) != c.sent {
				t.Errorf("%d updates arrived, want %d", len(asked), c.sent)
			}
			if c.config.Key != "" && c.sent > 0 && (<-asked).IsTsig() == nil {
				t.Error("the update was not signed")
			}
		})
	}
}

func TestUpdateGivesUp(t *testing.T) {
	silent := make(chan struct{})
	arrived := make(chan struct{})
	t.Cleanup(func() { close(silent) })
	address, _ := nameServer(t, func(*dns.Msg) []byte { close(arrived); <-silent; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	var call *ledger.CallError
	if _, err := updateAt(ctx, SystemConfig{AllowPrivate: true, DNSUpdate: DNSUpdateConfig{Address: address}}, ""); !errors.As(err, &call) || call.Class != ledger.CallAmbiguous {
		t.Errorf("%v of an update that was given up, want ambiguous", err)
	}
	if _, err := updateAt(ctx, SystemConfig{AllowPrivate: true, DNSUpdate: DNSUpdateConfig{Address: address}}, ""); !errors.As(err, &call) || call.Class != ledger.CallNotSent {
		t.Errorf("%v of an update that was never sent, want not_sent", err)
	}
}

func TestUpdateConfig(t *testing.T) {
	for field, d := range map[string]DNSUpdateConfig{
		"":                     {Address: "ns1.example.test:53", Key: "k", Credential: "env:K", Algorithm: "hmac-sha512"},
		"dnsupdate.address":    {Address: "ns1.example.test"},
		"dnsupdate":            {Address: "ns1.example.test:53", Key: "k"},
		"dnsupdate.algorithm":  {Address: "ns1.example.test:53", Key: "k", Credential: "env:K", Algorithm: "hmac-md5"},
		"dnsupdate.credential": {Address: "ns1.example.test:53", Key: "k", Credential: "canary"},
		"dnsupdate.key":        {Address: "ns1.example.test:53", Key: "a..b", Credential: "env:K"},
	} {
		err := SystemConfig{Remediator: "powerdns", URL: "https://dns.example.test", DNSUpdate: d}.Validate("dns")
		var bad *FieldError
		if got := errors.As(err, &bad); got != (field != "") || got && bad.Field != field {
			t.Errorf("%+v: %v, want a complaint about %q", d, err, field)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Error("the complaint shows what may be a secret")
		}
	}
	if err := (SystemConfig{Remediator: "http", DNSUpdate: DNSUpdateConfig{Address: "a:1"}}).Validate("x"); err == nil {
		t.Error("dnsupdate is taken by a remediator that knows nothing of it")
	}
	c := SystemConfig{Remediator: "powerdns", URL: "https://dns.example.test", DNSUpdate: DNSUpdateConfig{Address: "127.0.0.1:53"}}
	if w := c.warnings("dns"); len(w) != 1 || w[0].Field != "dnsupdate.address" {
		t.Errorf("warnings %v", w)
	}
}
