package cron

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Results of occurrences, as labels of the metrics.
const (
	resultStarted = "started"
	resultSkipped = "skipped" // other runs of the trigger or workflow were running
	resultMissed  = "missed"  // too old to start
	resultRefused = "refused" // it can never start
)

// metrics counts occurrences. Each is counted by the process that advanced its plan.
type metrics struct {
	occurrences *prometheus.CounterVec
	lateness    prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		occurrences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyflow_schedule_occurrences_total", Help: "Planned times of schedules, by result.",
		}, []string{"result"}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "keyflow_schedule_lateness_seconds", Help: "How long after its planned time an occurrence started.",
			Buckets: []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600},
		}),
	}
	for _, result := range []string{resultStarted, resultSkipped, resultMissed, resultRefused} {
		m.occurrences.WithLabelValues(result) // shown from the beginning, as zero
	}
	return m
}

// Collectors are the metrics of schedules.
func (s *Scheduler) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.occurrences, s.metrics.lateness}
}

func (m *metrics) observe(o outcome) {
	m.occurrences.WithLabelValues(resultMissed).Add(float64(o.move.Missed))
	m.occurrences.WithLabelValues(resultSkipped).Add(float64(o.move.Skipped))
	switch o.result {
	case resultStarted:
		m.lateness.Observe(o.late.Seconds())
		m.occurrences.WithLabelValues(o.result).Inc()
	case resultRefused:
		m.occurrences.WithLabelValues(o.result).Inc()
	}
}
