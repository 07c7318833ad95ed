package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/internal/outbox"
)

// eventLog is the subscriber of all events: it logs and counts them.
type eventLog struct {
	log   *slog.Logger
	count *prometheus.CounterVec
}

func newEventLog(log *slog.Logger, registry *prometheus.Registry) *eventLog {
	e := &eventLog{log: log, count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyflow_events_total",
		Help: "Events handed out, by type. One that was handed out again after a failure counts again.",
	}, []string{"type"})}
	registry.MustRegister(e.count)
	return e
}

// deliver implements outbox.Deliver.
func (e *eventLog) deliver(ctx context.Context, event outbox.Event) error {
	e.count.WithLabelValues(event.Type).Inc()
	e.log.InfoContext(ctx, "event", "type", event.Type, "id", event.ID, "subject", event.Subject, "folder", event.Folder, "data", string(event.Data))
	return nil
}
