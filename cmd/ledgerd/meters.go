package main

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sideledger/ledger"
	"sideledger/ledger/runner"
)

// meters are what this process counts and times, beside what the API counts. Labels have few values: names of
// configured systems, states, classes; never an id, a path, or anything that a caller or a third party wrote. It
// implements [runner.Observer].
type meters struct {
	registry *prometheus.Registry

	attempts   *prometheus.CounterVec
	calls      *prometheus.HistogramVec
	settled    *prometheus.CounterVec
	ended      *prometheus.CounterVec
	taken      prometheus.Counter
	takenOver  prometheus.Counter
	lost       prometheus.Counter
	commits    prometheus.Histogram
	unanswered prometheus.Counter
	headsAt    prometheus.Gauge
}

// attemptResults are what an attempt may bring: the classes of answers and of calls that brought none.
var attemptResults = []string{
	string(ledger.AnswerAccepted), string(ledger.AnswerGone), string(ledger.AnswerConflict), string(ledger.AnswerRetry), string(ledger.AnswerFailed),
	string(ledger.AnswerRefused), string(ledger.AnswerManual), string(ledger.CallNotSent), string(ledger.CallAway), string(ledger.CallDenied),
	string(ledger.CallAuth), string(ledger.CallAmbiguous), string(ledger.CallAnswered),
}

// The ways in which a run ends.
const (
	endComplete   = "complete"   // nothing that was selected is left open
	endIncomplete = "incomplete" // a person is needed
	endCancelled  = "cancelled"
)

func newMeters() *meters {
	m := &meters{
		registry: prometheus.NewRegistry(),
		attempts: counters("attempts_total", "Undos that were tried, by system and by what came of the call.", "system", "result"),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    metricPrefix + "call_duration_seconds",
			Help:    "Time that a remediator took: a look, or an undo with the look after it; waiting for a turn at a paced system included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"system", "call"}),
		settled:    counters("entries_settled_total", "Entries that a rollback settled, by system and by the state that they came to.", "system", "state"),
		ended:      counters("rollbacks_ended_total", "Rollbacks that ended here, by how: complete, incomplete (a person is needed), cancelled.", "end"),
		taken:      counter("leases_taken_total", "Leases of rollbacks that this process took."),
		takenOver:  counter("leases_taken_over_total", "Leases that it took from a process that had not given them back: it died, or was cut off."),
		lost:       counter("leases_lost_total", "Leases that it lost while it worked: another process took them."),
		unanswered: counter("store_commits_failed_total", "Commits that failed: nobody knows whether they are durable, and callers were told so (503)."),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricPrefix + "store_commit_duration_seconds", Help: "Time of a commit until it was durable, or failed.",
			Buckets: []float64{.0002, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
		headsAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metricPrefix + "heads_signed_timestamp_seconds", Help: "When the heads of all windows were last known to be signed and in every mirror.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: metricPrefix + "build_info", Help: "1; the version stands in its labels.",
		ConstLabels: prometheus.Labels{"version": versionText(), "goversion": runtime.Version()},
	})
	info.Set(1)
	m.headsAt.Set(float64(time.Now().Unix())) // from the start on
	m.registry.MustRegister(m.attempts, m.calls, m.settled, m.ended, m.taken, m.takenOver, m.lost, m.commits, m.unanswered, m.headsAt, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, end := range []string{endComplete, endIncomplete, endCancelled} {
		m.ended.WithLabelValues(end)
	}
	return m
}

const metricPrefix = "sideledger_"

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: metricPrefix + name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricPrefix + name, Help: help}, labels)
}

// expect lets every series of these systems stand at zero, so that the first one that moves is seen as a rise.
func (m *meters) expect(systems []ledger.SystemStatus) {
	for _, s := range systems {
		for _, r := range attemptResults {
			m.attempts.WithLabelValues(s.Name, r)
		}
		for _, c := range []runner.Call{runner.CallLook, runner.CallUndo} {
			m.calls.WithLabelValues(s.Name, string(c))
		}
		for _, state := range []ledger.EntryState{ledger.EntryUndone, ledger.EntryVoid, ledger.EntryStuck} {
			m.settled.WithLabelValues(s.Name, string(state))
		}
	}
}

// committed times a commit.
func (m *meters) committed(took time.Duration, err error) {
	m.commits.Observe(took.Seconds())
	if err != nil {
		m.unanswered.Inc()
	}
}

// signed notes that all heads are signed and in every mirror.
func (m *meters) signed(at time.Time) { m.headsAt.Set(float64(at.Unix())) }

// Claimed implements [runner.Observer].
func (m *meters) Claimed(ctx context.Context, l *ledger.Lease) (context.Context, func(error)) {
	m.taken.Inc()
	if l.Taken {
		m.takenOver.Inc()
	}
	return ctx, func(err error) {
		switch {
		case errors.Is(err, ledger.ErrFenced):
			m.lost.Inc()
		case err == nil && l.Rollback.State.Over():
			m.ended.WithLabelValues(endOf(&l.Rollback)).Inc()
		}
	}
}

func endOf(r *ledger.Rollback) string {
	switch {
	case r.State == ledger.RollbackCancelled:
		return endCancelled
	case r.Complete:
		return endComplete
	default:
		return endIncomplete
	}
}

// Called implements [runner.Observer].
func (m *meters) Called(ctx context.Context, e *ledger.Entry, c runner.Call) (context.Context, func(string)) {
	began := time.Now()
	return ctx, func(result string) {
		m.calls.WithLabelValues(e.System, string(c)).Observe(time.Since(began).Seconds())
		if c == runner.CallUndo {
			m.attempts.WithLabelValues(e.System, result).Inc()
		}
	}
}

// Settled implements [runner.Observer].
func (m *meters) Settled(_ context.Context, e *ledger.Entry) {
	m.settled.WithLabelValues(e.System, string(e.State)).Inc()
}
