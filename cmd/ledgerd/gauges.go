package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sideledger/ledger"
	"sideledger/ledger/sqlstore"
)

const (
	censusEvery  = 5 * time.Second // what the store counts is not older than this,
	censusShare  = 10              // nor does counting take more than one part in so many of the time
	censusWithin = 5 * time.Second // a store that does not answer by then is down, as far as metrics go
)

// gauges are what is read when somebody asks: the store's census, the condition of systems, and of the ledger itself.
type gauges struct {
	parts *parts
	clock func() time.Time

	mu     sync.Mutex
	census *sqlstore.Census // nil: it could not be read
	next   time.Time        // when it is read anew
}

// A gauge is one of them. readFunc sends its values, with those of its labels.
type gauge struct {
	desc     *prometheus.Desc
	readFunc func(g *gauges, c *sqlstore.Census, send sender)
}

type sender func(value float64, labels ...string)

func gaugeOf(name, help string, readFunc func(g *gauges, c *sqlstore.Census, send sender), labels ...string) gauge {
	return gauge{prometheus.NewDesc(metricPrefix+name, help, labels, nil), readFunc}
}

// waits are the reasons why a run waits; see [ledger.Waiting].
var waits = []string{"perform_by", "second_word", "other_window", "system_away", "retry", "answer"}

// ofStore are the gauges of the census. Every replica on one database shows the same.
var ofStore = []gauge{
	gaugeOf("windows", "Windows by state.", func(_ *gauges, c *sqlstore.Census, send sender) {
		for _, s := range []ledger.WindowState{
			ledger.WindowOpen, ledger.WindowSealed, ledger.WindowKept, ledger.WindowRollingBack, ledger.WindowRolledBack, ledger.WindowStuck,
		} {
			send(float64(c.Windows[s]), string(s))
		}
	}, "state"),
	gaugeOf("rollbacks", "Rollbacks that are not over, by state.", func(_ *gauges, c *sqlstore.Census, send sender) {
		for _, s := range []ledger.RollbackState{ledger.RollbackQueued, ledger.RollbackRunning, ledger.RollbackWaiting, ledger.RollbackPaused} {
			send(float64(c.Rollbacks[s]), string(s))
		}
	}, "state"),
	gaugeOf("rollbacks_waiting", "Rollbacks that wait, by why.", func(_ *gauges, c *sqlstore.Census, send sender) {
		for _, why := range waits {
			send(float64(c.Waiting[why]), why)
		}
	}, "why"),
	gaugeOf("entries_stuck", "Entries of live windows that cannot go on without a person, by reason.", func(_ *gauges, c *sqlstore.Census, send sender) {
		for _, r := range []ledger.Reason{
			ledger.ReasonDrifted, ledger.ReasonBlocked, ledger.ReasonFailed, ledger.ReasonInDoubt, ledger.ReasonManual, ledger.ReasonIrreversible, ledger.ReasonLate,
		} {
			send(float64(c.Stuck[r]), string(r))
		}
	}, "reason"),
	gaugeOf("entries_in_doubt", "Intents of live windows past their perform_by that nobody has reported on.", func(_ *gauges, c *sqlstore.Census, send sender) {
		send(float64(c.InDoubt))
	}),
	gaugeOf("entries_in_doubt_oldest_age_seconds", "How long the oldest of them is past its perform_by; 0: there is none.", func(g *gauges, c *sqlstore.Census, send sender) {
		age := 0.0
		if !c.Oldest.IsZero() {
			age = max(0, g.clock().Sub(c.Oldest).Seconds())
		}
		send(age)
	}),
	gaugeOf("second_words_waiting", "Second words that rollbacks wait for, such as before many deletions.", func(_ *gauges, c *sqlstore.Census, send sender) {
		send(float64(c.Words))
	}),
}

// ofProcess are the gauges that ask no database.
var ofProcess = []gauge{
	gaugeOf("store_up", "1: the database answers.", func(_ *gauges, c *sqlstore.Census, send sender) { send(truth(c != nil)) }),
	gaugeOf("store_full", "1: the ledger's disk is full, and nothing new is taken.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(truth(g.parts.store.Full()))
	}),
	gaugeOf("store_replicated", "1: an answered record is on the disk of a synchronous standby too.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(truth(g.parts.store.Durability() == ledger.DurabilityReplicated))
	}),
	gaugeOf("store_queue_length", "Changes that wait for the SQLite writer; 0 for PostgreSQL.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(float64(g.parts.store.Queued()))
	}),
	gaugeOf("safe_mode", "1: the ledger is older than something that it answered once: it takes facts only, and undoes nothing.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(truth(g.parts.store.Safe() != nil))
	}),
	gaugeOf("mirrors", "Mirrors that every record is brought to before it is answered.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(float64(g.parts.vigil.mirrored()))
	}),
	gaugeOf("mirror_away", "1: a mirror does not take what is committed: nothing is recorded, and nothing undone, until it does.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(truth(g.parts.store.MirrorAway()))
	}),
	gaugeOf("unmirrored", "1: the server was started with --without-mirror.", func(g *gauges, _ *sqlstore.Census, send sender) {
		send(truth(g.parts.vigil != nil && g.parts.vigil.warning != ""))
	}),
	perSystem("system_breaker_open", "1: the system gave no answer five times in a row, and is not called for a while.", func(s *ledger.SystemStatus) float64 {
		return truth(s.Breaker == "open")
	}),
	perSystem("system_parked", "1: the system refused our credential: nothing is sent there until the next rollback.", func(s *ledger.SystemStatus) float64 {
		return truth(s.Parked)
	}),
	perSystem("system_disabled", "1: the system is disabled in the configuration.", func(s *ledger.SystemStatus) float64 { return truth(s.Disabled) }),
	perSystem("system_calls_waiting", "Calls that wait for their turn at the system's pace.", func(s *ledger.SystemStatus) float64 { return float64(s.Waiting) }),
	gaugeOf("system_credential_expiry_timestamp_seconds", "When the system's credential ends, where it is known to.", func(g *gauges, _ *sqlstore.Census, send sender) {
		for _, s := range g.parts.ledger.SystemList() {
			if s.Credential != nil && !s.Credential.ExpiresAt.IsZero() {
				send(float64(s.Credential.ExpiresAt.Unix()), s.Name)
			}
		}
	}, "system"),
}

// perSystem is a gauge with one value for every configured system.
func perSystem(name, help string, value func(*ledger.SystemStatus) float64) gauge {
	return gaugeOf(name, help, func(g *gauges, _ *sqlstore.Census, send sender) {
		for _, s := range g.parts.registry.List() {
			send(value(&s), s.Name)
		}
	}, "system")
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements [prometheus.Collector].
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, list := range [][]gauge{ofStore, ofProcess} {
		for _, x := range list {
			ch <- x.desc
		}
	}
}

// Collect implements [prometheus.Collector]. Without an answer of the store its gauges are left out: no number is better
// than an old one.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count()
	emit := func(list []gauge) {
		for _, x := range list {
			x.readFunc(g, g.census, func(v float64, labels ...string) {
				ch <- prometheus.MustNewConstMetric(x.desc, prometheus.GaugeValue, v, labels...)
			})
		}
	}
	emit(ofProcess)
	if g.census != nil {
		emit(ofStore)
	}
}

// count takes the census, unless the last one is fresh. g.mu is held.
func (g *gauges) count() {
	began := g.clock()
	if began.Before(g.next) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), censusWithin)
	defer cancel()
	c, err := g.parts.store.Census(ctx)
	if err != nil {
		c = nil
		g.parts.log.WarnContext(ctx, "the store was not counted", "err", err)
	}
	now := g.clock()
	g.census, g.next = c, now.Add(max(censusEvery, censusShare*now.Sub(began)))
}
