package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the API counts. Labels have few values: routes, never paths.
type metrics struct {
	answers   *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	records   *prometheus.CounterVec
	rollbacks prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sideledger_http_answers_total", Help: "Answers by route, method, status and code of the problem.",
		}, []string{"route", "method", "status", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sideledger_http_duration_seconds", Help: "Time from a request's header to its last byte, streams included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600},
		}, []string{"route", "method"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sideledger_entries_recorded_total", Help: "Entries recorded, by the state that they were posted in.",
		}, []string{"state"}),
		rollbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sideledger_rollbacks_asked_total", Help: "Rollbacks started or joined.",
		}),
	}
	for _, c := range []prometheus.Collector{m.answers, m.duration, m.records, m.rollbacks} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// answered counts an answer.
func (m *metrics) answered(c echo.Context, took time.Duration) {
	code, _ := c.Get(problemKey).(string)
	route, method := routeName(c), c.Request().Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
	default:
		method = "other"
	}
	m.answers.WithLabelValues(route, method, strconv.Itoa(c.Response().Status), code).Inc()
	m.duration.WithLabelValues(route, method).Observe(took.Seconds())
}
