package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"sideledger/ledger"
	"sideledger/ledger/ledgertest"
)

// A line carries what its context knows, each thing once.
func TestLogLinesCarryTheirContext(t *testing.T) {
	var out bytes.Buffer
	ctx := ledger.WithLogAttrs(t.Context(), slog.String("window_id", "w"), slog.String("rollback_id", "r"))
	ctx = trace.ContextWithSpanContext(ctx, remote(ledger.Trace(traceparent(scriptTrace))))
	LogConfig{}.logger(&out).With("a", 1).WarnContext(ctx, "said", slog.String("rollback_id", "its own"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line["window_id"] != "w" || line["rollback_id"] != "its own" || line["trace_id"] != scriptTrace || line["msg"] != "said" ||
		strings.Count(out.String(), "rollback_id") != 1 {
		t.Errorf("%s", out.String())
	}
	out.Reset()
	plain := LogConfig{Level: "error", Format: "text"}.logger(&out)
	plain.WarnContext(ctx, "not said")
	plain.ErrorContext(ctx, "said")
	if text := out.String(); !strings.Contains(text, "level=ERROR msg=said window_id=w rollback_id=r trace_id="+scriptTrace) || strings.Contains(text, "not said") {
		t.Errorf("%s", text)
	}
	for _, bad := range []LogConfig{{Level: "loud"}, {Format: "xml"}} {
		if bad.validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// What a server logs of a rollback carries the window, the run and the trace; of a request, the id that its answer has.
func TestServerLogsIDs(t *testing.T) {
	h := newTracedHouse(t, true)
	h.stop()
	text, err := os.ReadFile(h.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.config(), append(text, "log: {level: debug}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	var out ledgertest.Buffer
	h.stderr = &out
	h.serve()
	e, r := h.undone("/hooks/1")
	h.stop()
	want := map[string]string{"window_id": e.WindowID, "rollback_id": r.ID, "entry_id": e.ID, "trace_id": operatorTrace, "level": "INFO"}
	settled, answered := false, false
	for line := range strings.Lines(out.String()) {
		var said map[string]any
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatalf("a line is not JSON: %s", line)
		}
		switch said["msg"] {
		case "entry settled":
			settled = true
			for key, value := range want {
				if said[key] != value {
					t.Errorf("%s is %v, want %s", key, said[key], value)
				}
			}
		case "answered":
			id, _ := said["request_id"].(string)
			answered = answered || len(id) == 36 && said["route"] == "/v1/windows/{id}/entries" && said["trace_id"] == scriptTrace
		}
	}
	if !settled || !answered {
		t.Errorf("settled %t, answered %t:\n%s", settled, answered, out.String())
	}
}

// systemd is told when the server is ready, that it lives, and that it stops.
func TestNotifier(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	vars := map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"}
	n := newNotifier(&env{getenv: func(k string) string { return vars[k] }, stderr: io.Discard, log: slog.New(slog.DiscardHandler)})
	if n.every != 10*time.Millisecond {
		t.Errorf("every %s", n.every)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go n.run(ctx)
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := received(t, l); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	cancel()
	for got := ""; got != "STOPPING=1"; {
		if got = received(t, l); got != "WATCHDOG=1" && got != "STOPPING=1" {
			t.Fatal(got)
		}
	}
}

func received(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 64)
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}
