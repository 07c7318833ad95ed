package event

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/cloudevent"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/outbox"
	"keyflow/triggers/firing"
	"keyflow/workflows"
)

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
		"time": firing.Time(e.Time), "datacontenttype": "application/json", "data": data, cloudevent.DepthAttribute: e.Depth,
	}
	return newDelivery(event, now)
}

// start is one event for one subscription, with its result.
type start struct {
	*delivery
	to  *Subscription
	run runs.ID // zero: none was started
	err error   // the start may succeed later
}

// startAll starts runs side by side, so that the journal stores them together.
func (d *Dispatcher) startAll(ctx context.Context, starts []start) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, firing.Parallel)
	for i := range starts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s := &starts[i]
			s.run, s.err = d.startBy(ctx, s.delivery, s.to)
		})
	}
	wg.Wait()
}

// startBy starts the run of one subscription, if its filter matches. An event that can never
// start it is counted and dropped; an error means that it may start later.
func (d *Dispatcher) startBy(ctx context.Context, e *delivery, s *Subscription) (runs.ID, error) {
	wanted, err := s.matches(ctx, e)
	if ctx.Err() != nil {
		return runs.ID{}, errNotInTime(ctx)
	}
	if err != nil {
		s.tally.failed.Add(1)
		d.problem(s, e, "the filter of an event trigger failed", err)
		d.starts.WithLabelValues(resultFilter).Inc()
		return runs.ID{}, nil
	}
	if !wanted {
		return runs.ID{}, nil
	}
	input, err := s.inputOf(ctx, e)
	if ctx.Err() != nil {
		return runs.ID{}, errNotInTime(ctx)
	}
	if err != nil {
		d.refuse(s, e, err)
		return runs.ID{}, nil
	}
	started, err := d.starter.Start(ctx, engine.Start{
		Workflow: s.Workflow, Input: input, Depth: e.event.Depth,
		Trigger: runs.TriggerRef{ID: s.Trigger, Type: workflows.TriggerEvent, FiredAt: e.fired, Event: e.raw},
		Dedupe:  &runs.DedupeKey{Kind: workflows.TriggerEvent, Trigger: s.Trigger, Key: e.event.Source + "\x00" + e.event.ID, ExpiresAt: e.fired.Add(firing.DedupeFor)},
	})
	result := resultStarted
	switch {
	case err != nil && firing.Temporary(err):
		return runs.ID{}, err
	case err != nil:
		d.refuse(s, e, err)
		return runs.ID{}, nil
	case started.Duplicate:
		result = resultDuplicate
	case started.Skipped:
		result = resultSkipped
	}
	d.starts.WithLabelValues(result).Inc()
	return started.Run, nil
}

func errNotInTime(ctx context.Context) error {
	return fault.New(fault.Unavailable, "not in time").Because(ctx.Err())
}

// refuse counts and logs an event that cannot start its workflow.
func (d *Dispatcher) refuse(s *Subscription, e *delivery, err error) {
	s.tally.refused.Add(1)
	d.problem(s, e, "an event cannot start its workflow", err)
	d.starts.WithLabelValues(resultRefused).Inc()
}

func (d *Dispatcher) problem(s *Subscription, e *delivery, what string, err error) {
	text := fault.Message(err)
	if _, classified := errors.AsType[*fault.Error](err); !classified {
		text = err.Error()
	}
	for _, p := range fault.ProblemsOf(err) {
		text += "; " + p.Path + ": " + p.Message
	}
	s.tally.last.Store(&text)
	d.logger.Warn(what, firing.Reference(s.Workflow, s.Trigger), "type", e.event.Type, "source", e.event.Source, "id", e.event.ID, "error", text)
}
