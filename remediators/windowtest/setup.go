// Package windowtest puts a remediator under test into a window of a real ledger: its store, its runner and its journal
// are those of a server. The third party is started by package remediatortest, or by the test itself.
package windowtest

import (
	"log/slog"
	"testing"
	"time"

	"sideledger/ledger"
	"sideledger/ledger/runner"
	"sideledger/ledger/sqlstore"
	"sideledger/ledger/sqlstore/sqlstoretest"
	"sideledger/remediators"
	"sideledger/remediators/remediatortest"
)

// A Setup says how a remediator under test is configured, as one system.
type Setup struct {
	System string // its name, as entries say it
	// Config is what stands in the configuration, with the remediator's name. Private addresses are allowed, and
	// retries are quick unless it says how long they wait.
	Config  remediators.SystemConfig
	Factory remediators.Factory
	Secret  string // what every credential reference resolves to; empty: [remediatortest.Secret]
	// GetenvFunc resolves references in place of Secret, for a system that has several; nil: Secret does.
	GetenvFunc func(name string) string
}

// At returns the setup for a third party at another address.
func (s Setup) At(url string) Setup {
	s.Config.URL = url
	return s
}

// Registry makes the registry that a ledger finds the system in. It ends with the test.
func (s Setup) Registry(t testing.TB) *remediators.Registry {
	t.Helper()
	c := s.Config
	c.AllowPrivate = true
	if c.Retry == (remediators.RetryConfig{}) {
		c.Retry = remediators.RetryConfig{Base: time.Millisecond, Cap: 10 * time.Millisecond, Attempts: 3}
	}
	secret := s.Secret
	if secret == "" {
		secret = remediatortest.Secret
	}
	getenv := s.GetenvFunc
	if getenv == nil {
		getenv = func(string) string { return secret }
	}
	reg, _, err := remediators.NewRegistry(remediators.Options{
		Systems: map[string]remediators.SystemConfig{s.System: c}, Factories: map[string]remediators.Factory{c.Remediator: s.Factory},
		Clock: time.Now, Log: slog.New(slog.DiscardHandler), Getenv: getenv,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	return reg
}

// Bind returns the remediator as a ledger has it.
func (s Setup) Bind(t testing.TB) ledger.Remediator {
	t.Helper()
	_, rem, err := s.Registry(t).Find(s.System)
	if err != nil {
		t.Fatal(err)
	}
	return rem
}

// Open opens a window of a real ledger, in an embedded store of its own, that has this one system.
func (s Setup) Open(t testing.TB) *Window {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store := sqlstoretest.Open(t, sqlstore.Config{})
	waker := runner.NewWaker()
	l := ledger.New(ledger.Config{Store: store, Systems: s.Registry(t), Clock: time.Now, Log: quiet, Waker: waker})
	run := runner.New(runner.Config{
		Ledger: l, Waker: waker, Clock: time.Now, Log: quiet, Sole: true, JitterFunc: func(d time.Duration) time.Duration { return d },
	})
	w, err := l.OpenWindow(t.Context(), ledger.WindowDraft{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return &Window{T: t, Ledger: l, ID: w.ID, runFunc: run.RunOne}
}
