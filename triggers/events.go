package triggers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/cloudevent"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/outbox"
	"keyflow/workflows"
)

// maxDeliveries is how often an event is delivered to a workflow that cannot start. With the
// delays of package outbox that is about a day.
const maxDeliveries = 150

var _ outbox.Deliver = (*Manager)(nil).Deliver

// Deliver starts the runs for an event of the outbox; it is an outbox.Deliver. Starts are
// idempotent by the event's source and id: an event that is delivered again starts nothing twice.
// When a workflow cannot start now, the event is postponed for that workflow alone. While this
// process can start no run at all, all events wait.
func (m *Manager) Deliver(ctx context.Context, e outbox.Entry) error {
	if err := m.catchUp(ctx); err != nil {
		return err
	}
	to := m.events.find(e.Type, reachOf(&e.Event))
	if e.Left != nil {
		to = slices.DeleteFunc(to, func(s *subscription) bool { return !slices.Contains(e.Left, s.name()) })
	}
	if len(to) == 0 {
		return nil
	}
	d, err := fromOutbox(&e.Event, m.now())
	if err != nil {
		m.logger.Error("an event cannot be read; it is dropped", "type", e.Type, "id", e.ID, "error", err)
		return nil
	}
	if e.Attempts >= maxDeliveries {
		for _, s := range to {
			m.refuse(s, d, errors.New("its workflow could not start for a day; the event is dropped"))
		}
		return nil
	}
	starts := make([]start, len(to))
	for i, s := range to {
		starts[i] = start{delivery: d, to: s}
	}
	m.startAll(ctx, starts)
	return m.outstanding(ctx, starts)
}

// outstanding is the error of a delivery while some of its starts may succeed later, else nil.
func (m *Manager) outstanding(ctx context.Context, starts []start) error {
	later := &outbox.Postponed{}
	for i := range starts {
		if err := starts[i].err; err != nil {
			later.Left, later.Err = append(later.Left, starts[i].to.name()), cmp.Or(later.Err, err)
			m.metrics.starts.WithLabelValues(resultLater).Inc()
		}
	}
	switch {
	case later.Err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if err := m.ready(); err != nil {
		return err
	}
	return later
}

// catchUp returns when all workflows are known, including those that other processes have just
// stored.
func (m *Manager) catchUp(ctx context.Context) error {
	select {
	case <-m.complete:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !m.shared {
		return nil
	}
	if err := m.Load(ctx); fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
		return err
	}
	return nil // Serve reports workflows that are broken
}

// Wants reports whether an event of a type, about something in a folder, has an event trigger.
// It is true until all workflows are known.
func (m *Manager) Wants(eventType, folder string) bool {
	return !m.loaded.Load() || m.events.wanted(eventType, func(of string) bool { return isBelow(folder, of) })
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

// delivery is an event on its way to its subscriptions.
type delivery struct {
	event cloudevent.Event
	raw   json.RawMessage
	fired time.Time
}

func newDelivery(e cloudevent.Event, now time.Time) (*delivery, error) {
	raw, err := jsonvalue.Encode(e.Value)
	return &delivery{event: e, raw: raw, fired: now.UTC()}, err
}

// fromOutbox is the delivery of an event of the outbox.
func fromOutbox(e *outbox.Event, now time.Time) (*delivery, error) {
	data, err := jsonvalue.Decode(e.Data)
	if err != nil {
		return nil, err
	}
	event := cloudevent.Event{ID: e.ID.String(), Source: cmp.Or(e.Source, "/"+e.Subject), Type: e.Type, Depth: e.Depth}
	event.Value = map[string]any{
		"specversion": "1.0", "id": event.ID, "source": event.Source, "type": event.Type, "subject": e.Subject,
		"time": textOf(e.Time), "datacontenttype": "application/json", "data": data, cloudevent.DepthAttribute: e.Depth,
	}
	return newDelivery(event, now)
}

func textOf(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// start is one event for one subscription, with its result.
type start struct {
	*delivery
	to  *subscription
	run runs.ID // zero: none was started
	err error   // the start may succeed later
}

// startAll starts runs side by side, so that the journal stores them together.
func (m *Manager) startAll(ctx context.Context, starts []start) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range starts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s := &starts[i]
			s.run, s.err = m.startBy(ctx, s.delivery, s.to)
		})
	}
	wg.Wait()
}

// startBy starts the run of one subscription, if its filter matches. An event that can never
// start it is counted and dropped; an error means that it may start later.
func (m *Manager) startBy(ctx context.Context, d *delivery, s *subscription) (runs.ID, error) {
	wanted, err := s.matches(ctx, d)
	if ctx.Err() != nil {
		return runs.ID{}, errNotInTime(ctx)
	}
	if err != nil {
		s.tally.failed.Add(1)
		m.problem(s, d, "the filter of an event trigger failed", err)
		m.metrics.starts.WithLabelValues(resultFilter).Inc()
		return runs.ID{}, nil
	}
	if !wanted {
		return runs.ID{}, nil
	}
	input, err := s.inputOf(ctx, d)
	if ctx.Err() != nil {
		return runs.ID{}, errNotInTime(ctx)
	}
	if err != nil {
		m.refuse(s, d, err)
		return runs.ID{}, nil
	}
	started, err := m.starter.Start(ctx, engine.Start{
		Workflow: s.workflow, Input: input, Depth: d.event.Depth,
		Trigger: runs.TriggerRef{ID: s.trigger, Type: workflows.TriggerEvent, FiredAt: d.fired, Event: d.raw},
		Dedupe:  &runs.DedupeKey{Kind: workflows.TriggerEvent, Trigger: s.trigger, Key: d.event.Source + "\x00" + d.event.ID, ExpiresAt: d.fired.Add(dedupeFor)},
	})
	result := resultStarted
	switch {
	case err != nil && temporary(err):
		return runs.ID{}, err
	case err != nil:
		m.refuse(s, d, err)
		return runs.ID{}, nil
	case started.Duplicate:
		result = resultDuplicate
	case started.Skipped:
		result = resultSkipped
	}
	m.metrics.starts.WithLabelValues(result).Inc()
	return started.Run, nil
}

func errNotInTime(ctx context.Context) error {
	return fault.New(fault.Unavailable, "not in time").Because(ctx.Err())
}

// refuse counts and logs an event that cannot start its workflow.
func (m *Manager) refuse(s *subscription, d *delivery, err error) {
	s.tally.refused.Add(1)
	m.problem(s, d, "an event cannot start its workflow", err)
	m.metrics.starts.WithLabelValues(resultRefused).Inc()
}

func (m *Manager) problem(s *subscription, d *delivery, what string, err error) {
	text := fault.Message(err)
	if _, classified := errors.AsType[*fault.Error](err); !classified {
		text = err.Error()
	}
	for _, p := range fault.ProblemsOf(err) {
		text += "; " + p.Path + ": " + p.Message
	}
	s.tally.last.Store(&text)
	m.logger.Warn(what, reference(s.workflow, s.trigger), "type", d.event.Type, "source", d.event.Source, "id", d.event.ID, "error", text)
}
