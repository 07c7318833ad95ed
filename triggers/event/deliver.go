// Package event starts runs for events: those of the outbox and those that are sent from outside.
//
//	Deliver  an event of the outbox ──▶ filter ──▶ Starter.Start (idempotent), for each subscription
//	Receive  events from outside, the same
//
// It must not know how definitions are followed, nor how events are stored.
package event

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/engine"
	"keyflow/internal/cloudevent"
	"keyflow/internal/outbox"
	"keyflow/triggers/gate"
)

// maxDeliveries is how often an event is delivered to a workflow that cannot start. With the
// delays of package outbox that is about a day.
const maxDeliveries = 150

// Workflows are those that the subscriptions come from.
type Workflows interface {
	// CatchUp returns when all workflows are known, including those that other processes have just
	// stored.
	CatchUp(ctx context.Context) error
	// Loaded reports whether all workflows have been read once.
	Loaded() bool
}

// Starter starts runs; *engine.Engine is one.
type Starter interface {
	Start(ctx context.Context, s engine.Start) (engine.Started, error)
}

// Options are what a dispatcher is made of; all are required.
type Options struct {
	Subscriptions *Subscriptions
	Workflows     Workflows
	Starter       Starter
	Gate          gate.Gate
	// Ready returns nil while this process can start runs.
	Ready  func() error
	Now    func() time.Time
	Logger *slog.Logger
}

// Dispatcher starts the runs for events. It is safe for concurrent use.
type Dispatcher struct {
	subscriptions *Subscriptions
	workflows     Workflows
	starter       Starter
	gate          gate.Gate
	ready         func() error
	now           func() time.Time
	logger        *slog.Logger
	starts        *prometheus.CounterVec
}

// New returns a dispatcher.
func New(o Options) *Dispatcher {
	return &Dispatcher{
		subscriptions: o.Subscriptions, workflows: o.Workflows, starter: o.Starter, gate: o.Gate,
		ready: o.Ready, now: o.Now, logger: o.Logger, starts: newStarts(),
	}
}

// Collectors are the metrics of events.
func (d *Dispatcher) Collectors() []prometheus.Collector { return []prometheus.Collector{d.starts} }

var _ outbox.Deliver = (*Dispatcher)(nil).Deliver

// Deliver starts the runs for an event of the outbox; it is an outbox.Deliver. Starts are
// idempotent by the event's source and id: an event that is delivered again starts nothing twice.
// When a workflow cannot start now, the event is postponed for that workflow alone. While this
// process can start no run at all, all events wait.
func (d *Dispatcher) Deliver(ctx context.Context, e outbox.Entry) error {
	if err := d.workflows.CatchUp(ctx); err != nil {
		return err
	}
	to := d.subscriptions.find(e.Type, reachOf(&e.Event))
	if e.Left != nil {
		to = slices.DeleteFunc(to, func(s *Subscription) bool { return !slices.Contains(e.Left, s.name()) })
	}
	if len(to) == 0 {
		return nil
	}
	delivered, err := fromOutbox(&e.Event, d.now())
	if err != nil {
		d.logger.Error("an event cannot be read; it is dropped", "type", e.Type, "id", e.ID, "error", err)
		return nil
	}
	if e.Attempts >= maxDeliveries {
		for _, s := range to {
			d.refuse(s, delivered, errors.New("its workflow could not start for a day; the event is dropped"))
		}
		return nil
	}
	starts := make([]start, len(to))
	for i, s := range to {
		starts[i] = start{delivery: delivered, to: s}
	}
	d.startAll(ctx, starts)
	return d.outstanding(ctx, starts)
}

// outstanding is the error of a delivery while some of its starts may succeed later, else nil.
func (d *Dispatcher) outstanding(ctx context.Context, starts []start) error {
	later := &outbox.Postponed{}
	for i := range starts {
		if err := starts[i].err; err != nil {
			later.Left, later.Err = append(later.Left, starts[i].to.name()), cmp.Or(later.Err, err)
			d.starts.WithLabelValues(resultLater).Inc()
		}
	}
	switch {
	case later.Err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if err := d.ready(); err != nil {
		return err
	}
	return later
}

// Wants reports whether an event of a type, about something in a folder, has an event trigger.
// It is true until all workflows are known.
func (d *Dispatcher) Wants(eventType, folder string) bool {
	return !d.workflows.Loaded() || d.subscriptions.wanted(eventType, func(of string) bool { return isBelow(folder, of) })
}

// reachOf returns the folders whose workflows an event of this Keyflow may start. An event of
// Keyflow itself reaches the folder of its subject and the folders above. An event that a
// workflow emits also reaches the folders below.
func reachOf(e *outbox.Event) func(folder string) bool {
	own := strings.HasPrefix(e.Type, cloudevent.Reserved)
	return func(folder string) bool {
		return isBelow(e.Folder, folder) || !own && isBelow(folder, e.Folder)
	}
}

// isBelow reports whether a folder is root or below it.
func isBelow(folder, root string) bool {
	return root == "/" || folder == root || strings.HasPrefix(folder, root+"/")
}
