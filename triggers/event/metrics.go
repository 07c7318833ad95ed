package event

import "github.com/prometheus/client_golang/prometheus"

// Results of events that matched a trigger, as labels of the metric.
const (
	resultStarted   = "started"
	resultSkipped   = "skipped"      // other runs of the workflow were running
	resultRefused   = "refused"      // it can never start
	resultDuplicate = "duplicate"    // started before
	resultLater     = "later"        // it could not be stored: the event is delivered again
	resultFilter    = "filter_error" // the filter failed: no match
)

func newStarts() *prometheus.CounterVec {
	starts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyflow_event_starts_total", Help: "Events that matched an event trigger, by result of the start.",
	}, []string{"result"})
	for _, result := range []string{resultStarted, resultDuplicate, resultSkipped, resultRefused, resultLater, resultFilter} {
		starts.WithLabelValues(result) // shown from the beginning, as zero
	}
	return starts
}
