package powerdns

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// A wire stands between an updater and the name server, counts updates and loses answers.
type wire struct {
	address string
	sent    atomic.Int32 // updates that were passed on
	lose    atomic.Bool  // the next answer, after the update was carried out
	sever   func()       // called before an update is passed on; nil: nothing
}

func startWire(t *testing.T, target string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(&dns.Conn{Conn: conn}, target)
		}
	}()
	return w
}

// serve passes on one message as it is, since a signature covers its bytes.
func (w *wire) serve(in *dns.Conn, target string) {
	defer in.Close()
	buf := make([]byte, dns.MaxMsgSize)
	n, err := in.Read(buf)
	if err != nil {
		return
	}
	if w.sever != nil {
		w.sever()
	}
	raw, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	out := &dns.Conn{Conn: raw}
	defer out.Close()
	w.sent.Add(1)
	if _, err := out.Write(buf[:n]); err != nil {
		return
	}
	if n, err = out.Read(buf); err != nil || w.lose.CompareAndSwap(true, false) {
		return
	}
	_, _ = in.Write(buf[:n])
}
