package triggers

import (
	"context"
	"encoding/json"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/expression"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

const (
	// punctual is how late an occurrence may be without being a missed one.
	punctual = 10 * time.Second
	// maxMadeUp is how many missed occurrences of one trigger are made up, the latest.
	maxMadeUp = 100
	// dedupeFor is how long the key of an occurrence or delivery is kept at least.
	dedupeFor = 24 * time.Hour
)

// occurrence is one planned time with the definition as it is now.
type occurrence struct {
	plan       Plan
	planned    time.Time
	schedule   *Schedule
	definition *workflows.Definition
	trigger    workflows.Trigger
	now        time.Time
}

// outcome is what became of a due plan.
type outcome struct {
	move   *Move         // how the plan goes on; nil: it stays as it is
	mended bool          // the plan was made anew
	err    error         // may pass: what is due stays due
	result string        // of the occurrence: resultStarted, resultRefused or ""
	late   time.Duration // of a start
}

// fire handles one due plan: it counts what is too old as missed, starts the first occurrence
// after that, and plans the next.
func (m *Manager) fire(ctx context.Context, p Plan, at moment) outcome {
	o, ok, err := m.occurrence(ctx, p, at.now)
	if err != nil || !ok {
		return outcome{err: err, mended: err == nil}
	}
	if o.schedule == nil {
		return outcome{move: &Move{Plan: p}}
	}
	missed := int64(0)
	if oldest := o.oldest(at.began); o.planned.Before(oldest) {
		first := o.planned
		o.planned, missed = o.schedule.skip(first, oldest, p.Anchor)
		m.logger.Warn("missed occurrences", reference(p.Workflow, p.Trigger), "missed", missed, "first", first, "next", o.planned)
		if o.planned.IsZero() || o.planned.After(at.now) {
			return outcome{move: &Move{Plan: p, NextAt: o.planned, Missed: missed}}
		}
	}
	out := m.carryOut(ctx, &o)
	if out.err != nil && missed > 0 {
		out.move = &Move{Plan: p, NextAt: o.planned}
	}
	if out.move != nil {
		out.move.Missed = missed
	}
	return out
}

// occurrence looks up what a plan was made for. A plan that does not fit the workflow as it
// is now, because of a change that has not arrived here or a row that no release stores, is
// made anew and not fired: ok is false. Without a schedule the plan comes to its end.
func (m *Manager) occurrence(ctx context.Context, p Plan, now time.Time) (o occurrence, ok bool, err error) {
	o = occurrence{plan: p, planned: p.NextAt, now: now}
	s, err := m.catalog.Summary(ctx, p.Workflow)
	if err == nil {
		o.definition, err = m.catalog.Definition(ctx, p.Workflow, s.Version)
	}
	if err != nil && passes(err) {
		return o, false, err
	}
	if err == nil {
		o.trigger = o.definition.Triggers[p.Trigger]
		if s.Enabled && o.trigger.Type == workflows.TriggerCron && p.same(specOf(o.trigger)) {
			if o.schedule, err = p.Parse(); err == nil {
				return o, true, nil
			}
		}
	}
	if err = m.WorkflowChanged(ctx, p.Workflow); err == nil || passes(err) {
		return o, false, err
	}
	m.logger.Error("schedule is switched off until its workflow is valid", reference(p.Workflow, p.Trigger), "error", err)
	o.schedule = nil
	return o, true, nil
}

// oldest is the planned time before which an occurrence is missed.
func (o *occurrence) oldest(began time.Time) time.Time {
	age := punctual
	if o.trigger.CatchUp != nil {
		age = max(age, time.Duration(*o.trigger.CatchUp))
	}
	oldest := began.Add(-age)
	if began.Sub(o.planned) < maxMadeUp*o.schedule.grain || age < maxMadeUp*o.schedule.grain {
		return oldest
	}
	return o.schedule.latest(maxMadeUp, oldest, began, o.plan.Anchor)
}

// carryOut starts the run of an occurrence; whether one that goes on, or a limit, keeps it from
// running is the engine's decision, which is recorded. With an error nothing is decided; what
// can never start is given up.
func (m *Manager) carryOut(ctx context.Context, o *occurrence) outcome {
	to := &Move{Plan: o.plan, NextAt: o.schedule.Next(o.planned, o.plan.Anchor)}
	out := outcome{move: to, result: resultStarted, late: o.now.Sub(o.planned)}
	switch started, err := m.startOccurrence(ctx, o); {
	case err != nil && passes(err):
		return outcome{err: err}
	case err != nil:
		m.logger.Error("occurrence cannot start", reference(o.plan.Workflow, o.plan.Trigger), "planned", o.planned, "error", err)
		out.result = resultRefused
	case started.Skipped:
		out.result, to.Skipped = "", 1
	}
	return out
}

// passes reports whether a start may succeed later without anybody changing anything.
func passes(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Unavailable || kind == fault.Internal || kind == fault.RateLimited
}

// startOccurrence starts the run of one occurrence; a repetition finds what was decided first.
func (m *Manager) startOccurrence(ctx context.Context, o *occurrence) (engine.Started, error) {
	planned := o.planned
	trigger := runs.TriggerRef{ID: o.plan.Trigger, Type: workflows.TriggerCron, FiredAt: o.now.UTC(), ScheduledAt: &planned}
	input, err := cronInput(ctx, o.definition, o.trigger, trigger)
	if err != nil {
		return engine.Started{}, err
	}
	return m.starter.Start(ctx, engine.Start{Workflow: o.plan.Workflow, Trigger: trigger, Input: input, Dedupe: o.dedupe()})
}

// dedupe is the key of the occurrence. It is kept until the occurrence is too old to be
// made up.
func (o *occurrence) dedupe() *runs.DedupeKey {
	expires := o.now.Add(dedupeFor)
	if o.trigger.CatchUp != nil {
		if past := o.planned.Add(time.Duration(*o.trigger.CatchUp) + time.Hour); past.After(expires) {
			expires = past
		}
	}
	return &runs.DedupeKey{
		Kind: workflows.TriggerCron, Trigger: o.plan.Trigger, Key: o.planned.Format(time.RFC3339Nano), ExpiresAt: expires,
	}
}

// cronInput evaluates the trigger's input; without one it is {}.
func cronInput(ctx context.Context, d *workflows.Definition, t workflows.Trigger, ref runs.TriggerRef) (json.RawMessage, error) {
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

// checkedScope is inputScope for a trigger that is being applied: members that d's constants and
// the trigger do not have are errors, and so is callback_url.
func checkedScope(d *workflows.Definition) expression.Scope {
	s := inputScope()
	s.Callbacks = []string{}
	s.Shapes = map[string]expression.Shape{"trigger": engine.TriggerShape(), "vars": expression.ShapeOf(varsOf(d))}
	return s
}

func varsOf(d *workflows.Definition) map[string]any {
	if d.Vars == nil {
		return map[string]any{}
	}
	return d.Vars
}
