package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// An hour of a system that is away, tried every 30 seconds, is a few lines.
func TestWaitingIsSaidOnce(t *testing.T) {
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	var said strings.Builder
	a := newApp(func(string) string { return "" }, nil, nil, &said)
	a.now = func() time.Time { return now }
	f := &follower{app: a, id: "run", bar: newProgress(a, &wire.Rollback{}), quiet: &quiet{nowFunc: a.now, said: now}}
	wait := func(why, on string) {
		until := now.Add(30 * time.Second)
		f.run(&wire.RecordRollback{State: "running"})
		f.run(&wire.RecordRollback{State: "waiting", Waiting: &wire.Waiting{Why: why, On: on, Until: &until}})
	}
	lines := func() string {
		got := said.String()
		said.Reset()
		return got
	}
	var reminded []string
	begin := now
	for range 120 {
		wait("system_away", "edge")
		if now = now.Add(30 * time.Second); f.quiet.due() {
			reminded = append(reminded, now.Sub(begin).String())
		}
	}
	if got := strings.Join(reminded, " "); got != "1m0s 6m0s 21m0s 36m0s 51m0s" {
		t.Errorf("reminders after %s", got)
	}
	got := lines()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "a system is away (edge), until 03:00:30Z") || !strings.Contains(got, "Ctrl-C stops watching") {
		t.Errorf("said of an hour:\n%s", got)
	}
	wait("retry", "edge")
	wait("system_away", "edge")
	if got := lines(); strings.Count(got, "\n") != 2 || strings.Contains(got, "Ctrl-C") {
		t.Errorf("two changes:\n%s", got)
	}
	f.quiet.moved()
	wait("system_away", "edge")
	if got := lines(); strings.Count(got, "\n") != 1 {
		t.Errorf("after it got on:\n%s", got)
	}
	if f.quiet.due() {
		t.Error("a reminder right after a line")
	}
}

// The heartbeat says nothing until a reminder is due.
func TestHeartbeatIsQuiet(t *testing.T) {
	fake := newFake(t)
	w := fake.windowWith(1)
	fake.plays("wait system_away edge", "hold", "undone 1 undone")
	defer fake.letGo()
	c, err := client.New(client.Config{URL: fake.url, Token: "t0ken"})
	if err != nil {
		t.Fatal(err)
	}
	rb, err := c.StartRollback(t.Context(), w, wire.RollbackRequest{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	a := newApp(func(string) string { return "" }, nil, nil, &said)
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	a.now = func() time.Time { return now }
	beats := 0
	a.pause = func(context.Context, time.Duration) error {
		if beats++; beats > 5 {
			return context.Canceled
		}
		now = now.Add(25 * time.Second)
		return nil
	}
	f := &follower{app: a, client: c, id: rb.ID, bar: newProgress(a, rb), quiet: &quiet{nowFunc: a.now, said: now}}
	f.beat(t.Context(), func(error) { t.Error("it is not over") })
	if got := said.String(); strings.Count(got, "still ") != 1 {
		t.Errorf("in two minutes:\n%s", got)
	}
}
