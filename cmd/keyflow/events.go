package main

import (
	"context"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/internal/cloudevent"
	"keyflow/internal/outbox"
)

// subscriber gets all events of the outbox: it logs and counts them, and delivers them to the event
// triggers.
type subscriber struct {
	log   *slog.Logger
	count *prometheus.CounterVec
	next  outbox.Deliver
}

func newSubscriber(log *slog.Logger, registry *prometheus.Registry, next outbox.Deliver) *subscriber {
	s := &subscriber{log: log, next: next, count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keyflow_events_total",
		Help: "Deliveries of events, by type; events of emit nodes count as emitted. A repeated delivery counts again.",
	}, []string{"type"})}
	registry.MustRegister(s.count)
	return s
}

// deliver implements outbox.Deliver. Types of emit nodes, which authors choose, are no label.
func (s *subscriber) deliver(ctx context.Context, e outbox.Entry) error {
	kind, level, about := "emitted", slog.LevelDebug, []any{"type", e.Type, "id", e.ID, "subject", e.Subject, "folder", e.Folder}
	if strings.HasPrefix(e.Type, cloudevent.Reserved) {
		kind, level, about = e.Type, slog.LevelInfo, append(about, "data", string(e.Data))
	}
	s.count.WithLabelValues(kind).Inc()
	s.log.Log(ctx, level, "event", about...)
	return s.next(ctx, e)
}
