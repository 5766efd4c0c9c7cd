package main

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// A notifier tells systemd how the server is doing (sd_notify(3)). Without NOTIFY_SOCKET nobody is told.
type notifier struct {
	socket string
	every  time.Duration // how often systemd wants to hear of us; 0: never
	log    *slog.Logger
}

func newNotifier(e *env) *notifier {
	n := &notifier{socket: e.getenv("NOTIFY_SOCKET"), log: e.log}
	if us, err := strconv.ParseInt(e.getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.every = time.Duration(us) * time.Microsecond / 2
	}
	return n
}

// say sends one state. A systemd that does not listen stops nothing.
func (n *notifier) say(ctx context.Context, state string) {
	if n.socket == "" {
		return
	}
	name := n.socket
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:] // a socket of the abstract name space
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		_ = c.Close()
	}
	if err != nil {
		n.log.WarnContext(ctx, "systemd was not told", slog.String("state", state), slog.Any("err", err))
	}
}

// run says that the server is ready, keeps the watchdog quiet until ctx ends, and says that the server stops.
func (n *notifier) run(ctx context.Context) {
	n.say(ctx, "READY=1")
	defer n.say(context.WithoutCancel(ctx), "STOPPING=1")
	if n.socket == "" || n.every == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		n.say(ctx, "WATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
