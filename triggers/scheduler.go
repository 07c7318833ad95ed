package triggers

import (
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"time"

	"keyflow/engine"
	"keyflow/internal/expression"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

const (
	// catchUp is how old a missed occurrence may be to be made up.
	catchUp = time.Minute
	// look is how long Serve sleeps at most: the clock may have been set, and another
	// process may have planned something.
	look = time.Second
	// batch and parallel bound how much is claimed and started at once.
	batch    = 256
	parallel = 64
	// dedupeFor is how long the key of an occurrence or delivery is kept.
	dedupeFor = 24 * time.Hour

	reloadAlone  = time.Minute
	reloadShared = 3 * time.Second
)

// Serve fires due schedules until ctx is done. Any number of processes may serve the same
// store. It returns nil: what fails is logged and tried again.
func (m *Manager) Serve(ctx context.Context) error {
	reload := reloadAlone
	if m.shared {
		reload = reloadShared
	}
	var loaded, began time.Time
	for ctx.Err() == nil {
		now := m.now()
		if now.Sub(loaded) >= reload || now.Before(loaded) {
			if err := m.Load(ctx); err != nil && ctx.Err() == nil {
				m.logger.Error("load triggers", "error", err)
			}
			loaded = now
		}
		if began.IsZero() || now.Before(began) {
			began = now
		}
		fired := m.drain(ctx, now, began)
		if began = now; !fired { // else the next round goes on with this one's backlog
			began = time.Time{}
			m.sleep(ctx, now)
		}
	}
	return nil
}

// sleep waits until a plan is due, plans change or it is time to look again. A plan that was
// due at drained could not start: it is not tried again at once.
func (m *Manager) sleep(ctx context.Context, drained time.Time) {
	wait := look
	if next, err := m.store.NextDue(ctx); err == nil && next.After(drained) {
		wait = min(look, max(next.Sub(m.now()), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-m.wake:
	case <-timer.C:
	}
}

// drain fires everything that is due at now, in time order. Occurrences older than catchUp
// at began were missed while nothing ran. It reports whether any plan moved on.
func (m *Manager) drain(ctx context.Context, now, began time.Time) bool {
	var r round
	var after Plan
	for ctx.Err() == nil {
		due, err := m.store.Due(ctx, now, after, batch)
		if err != nil {
			r.add(false, err)
			break
		}
		var wg sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for _, p := range due {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				r.add(m.fire(ctx, p, now, began.Add(-catchUp)))
			})
		}
		wg.Wait()
		if len(due) < batch {
			break
		}
		after = due[len(due)-1]
	}
	if r.failed > 0 && ctx.Err() == nil {
		m.logger.Error("schedules are due but could not be fired; they are tried again", "count", r.failed, "error", r.err)
	}
	return r.moved > 0
}

// round counts what became of the plans of one drain.
type round struct {
	mu            sync.Mutex
	moved, failed int
	err           error // the first
}

func (r *round) add(moved bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if moved {
		r.moved++
	}
	if err != nil {
		r.failed++
		r.err = cmp.Or(r.err, err)
	}
}

// fire handles one due plan: skips what is older than oldest, starts a run for the first
// occurrence after that, and plans the next. An error that may pass leaves the plan as it
// is: it is due again at once.
func (m *Manager) fire(ctx context.Context, p Plan, now, oldest time.Time) (moved bool, err error) {
	schedule, err := ParseSchedule(p.Schedule, p.Timezone)
	if err != nil { // a row of another release or an edited database: only this schedule stops
		m.logger.Error("stored schedule is not valid; it is switched off", reference(p.Workflow, p.Trigger), "error", err)
		return m.store.Advance(ctx, p, time.Time{}, 0)
	}
	if p.NextAt.Before(oldest) {
		next, missed := schedule.skip(p, oldest)
		m.logger.Warn("missed occurrences", reference(p.Workflow, p.Trigger), "missed", missed, "first", p.NextAt, "next", next)
		if moved, err = m.store.Advance(ctx, p, next, missed); !moved || err != nil {
			return moved, err
		}
		if p.NextAt = next; next.IsZero() || next.After(now) {
			return true, nil
		}
	}
	if err := m.startOccurrence(ctx, p, now); err != nil {
		if passes(err) {
			return moved, err
		}
		m.logger.Error("occurrence cannot start", reference(p.Workflow, p.Trigger), "planned", p.NextAt, "error", err)
	}
	advanced, err := m.store.Advance(ctx, p, schedule.Next(p.NextAt, p.Anchor), 0)
	return moved || advanced, err
}

// maxCounted bounds the walk over missed occurrences; a longer outage counts at least these.
const maxCounted = 10_000

// skip returns the first occurrence that is not before oldest, and how many come before it.
func (s *Schedule) skip(p Plan, oldest time.Time) (next time.Time, missed int64) {
	if s.every > 0 {
		next = s.Next(oldest.Add(-1), p.Anchor)
		return next, int64(next.Sub(p.NextAt) / s.every)
	}
	for next = p.NextAt; !next.IsZero() && next.Before(oldest); next = s.Next(next, p.Anchor) {
		if missed++; missed == maxCounted {
			return s.Next(oldest.Add(-1), p.Anchor), missed
		}
	}
	return next, missed
}

// passes reports whether a start may succeed later without anybody changing anything.
func passes(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Unavailable || kind == fault.Internal || kind == fault.RateLimited
}

// startOccurrence starts the run of one occurrence; a repetition finds the same run.
func (m *Manager) startOccurrence(ctx context.Context, p Plan, now time.Time) error {
	s, err := m.catalog.Summary(ctx, p.Workflow)
	if err != nil {
		return err
	}
	d, err := m.catalog.Definition(ctx, p.Workflow, s.Version)
	if err != nil {
		return err
	}
	t, ok := d.Triggers[p.Trigger]
	if !ok || t.Type != workflows.TriggerCron || !s.Enabled {
		return fault.New(fault.Conflict, "the trigger is gone or switched off")
	}
	planned := p.NextAt
	trigger := engine.TriggerRef{ID: p.Trigger, Type: workflows.TriggerCron, FiredAt: now.UTC(), ScheduledAt: &planned}
	input, err := cronInput(ctx, d, t, trigger)
	if err != nil {
		return err
	}
	_, err = m.starter.Start(ctx, engine.Start{
		Workflow: p.Workflow, Input: input, Trigger: trigger,
		Dedupe: &engine.DedupeKey{
			Kind: workflows.TriggerCron, Trigger: p.Trigger, Key: planned.Format(time.RFC3339Nano), ExpiresAt: now.Add(dedupeFor),
		},
	})
	return err
}

// cronInput evaluates the trigger's input; without one it is {}.
func cronInput(ctx context.Context, d *workflows.Definition, t workflows.Trigger, ref engine.TriggerRef) (json.RawMessage, error) {
	if !t.HasInput {
		return json.RawMessage("{}"), nil
	}
	template, errs := expression.CompileValue(t.Input, inputScope())
	if len(errs) > 0 {
		return nil, fault.New(fault.Invalid, "the trigger's input does not compile").Because(errs[0])
	}
	vars := map[string]any{"vars": varsOf(d), "trigger": map[string]any{
		"id": ref.ID, "type": ref.Type, "fired_at": ref.FiredAt.Format(time.RFC3339Nano), "scheduled_at": ref.ScheduledAt.Format(time.RFC3339Nano),
	}}
	value, err := template.Eval(ctx, expression.Env{Vars: vars})
	if err != nil {
		return nil, fault.New(fault.Invalid, "the trigger's input cannot be evaluated").Because(err)
	}
	return jsonvalue.Encode(value)
}

// inputScope is what a trigger's templates may read.
func inputScope() expression.Scope { return expression.Scope{Names: []string{"trigger", "vars"}} }

func varsOf(d *workflows.Definition) map[string]any {
	if d.Vars == nil {
		return map[string]any{}
	}
	return d.Vars
}
