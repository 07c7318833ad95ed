package triggers

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of occurrences and events, as labels of the metrics.
const (
	resultStarted = "started"
	resultSkipped = "skipped" // other runs of the trigger or workflow were running
	resultMissed  = "missed"  // too old to start
	resultRefused = "refused" // it can never start

	// Of events only.
	resultDuplicate = "duplicate"    // started before
	resultLater     = "later"        // it could not be stored: the event is delivered again
	resultFilter    = "filter_error" // the filter failed: no match
)

// metrics counts schedules and events. An occurrence is counted by the process that advanced its
// plan.
type metrics struct {
	occurrences *prometheus.CounterVec
	lateness    prometheus.Histogram
	rearmed     prometheus.Counter
	starts      *prometheus.CounterVec
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
		rearmed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyflow_schedules_rearmed_total", Help: "Enabled schedules that had no plan and got one again.",
		}),
	}
	m.starts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyflow_event_starts_total", Help: "Events that matched an event trigger, by result of the start.",
	}, []string{"result"})
	for _, result := range []string{resultStarted, resultDuplicate, resultSkipped, resultRefused, resultLater, resultFilter} {
		m.starts.WithLabelValues(result)
	}
	for _, result := range []string{resultStarted, resultSkipped, resultMissed, resultRefused} {
		m.occurrences.WithLabelValues(result) // shown from the beginning, as zero
	}
	return m
}

// Register adds the metrics of triggers to a registry.
func (m *Manager) Register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.metrics.occurrences, m.metrics.lateness, m.metrics.rearmed, m.metrics.starts} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics of triggers: %w", err)
		}
	}
	return nil
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
