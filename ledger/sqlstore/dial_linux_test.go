package sqlstore

import (
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A connection to a machine that is gone without a word ends in time: each has the limits that the kernel keeps.
func TestDialLimits(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg, err := pgx.ParseConfig("postgres://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	OnlyPrimary(cfg)
	c, err := cfg.DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]int{tcpUserTimeout: 10_000, syscall.TCP_KEEPIDLE: 5, syscall.TCP_KEEPINTVL: 2}
	err = raw.Control(func(fd uintptr) {
		for option, n := range want {
			if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option); err != nil || got != n {
				t.Errorf("option %d is %d, want %d (%v)", option, got, n, err)
			}
		}
	})
	if err != nil || cfg.ConnectTimeout != connectWithin {
		t.Errorf("%v, %v", err, cfg.ConnectTimeout)
	}
}
