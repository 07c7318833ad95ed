package cron

import (
	"context"
	"encoding/json"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/expression"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/triggers/firing"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

const (
	// punctual is how late an occurrence may start and not count as missed.
	punctual = 10 * time.Second
	// maxCaughtUp is how many missed occurrences of one trigger are started late, the latest ones.
	maxCaughtUp = 100
)

// occurrence is one planned time, with the current definition.
type occurrence struct {
	plan       plans.Plan
	planned    time.Time
	schedule   *schedule.Schedule
	definition *workflows.Definition
	trigger    workflows.Trigger
	now        time.Time
}

// outcome is the result of a due plan.
type outcome struct {
	move      *plans.Move   // the plan's next state; nil: it stays as it is
	recreated bool          // the plan was created again
	err       error         // temporary: the plan stays due
	result    string        // of the occurrence: resultStarted, resultRefused or ""
	late      time.Duration // of a start
}

// fire handles one due plan: it counts what is too old as missed, starts the first occurrence
// after that, and plans the next.
func (s *Scheduler) fire(ctx context.Context, p plans.Plan, at moment) outcome {
	o, ok, err := s.occurrence(ctx, p, at.now)
	if err != nil || !ok {
		return outcome{err: err, recreated: err == nil}
	}
	if o.schedule == nil {
		return outcome{move: &plans.Move{Plan: p}}
	}
	missed := int64(0)
	if oldest := o.oldest(at.began); o.planned.Before(oldest) {
		first := o.planned
		o.planned, missed = o.schedule.Skip(first, oldest, p.Anchor)
		s.logger.Warn("missed occurrences", firing.Reference(p.Workflow, p.Trigger), "missed", missed, "first", first, "next", o.planned)
		if o.planned.IsZero() || o.planned.After(at.now) {
			return outcome{move: &plans.Move{Plan: p, NextAt: o.planned, Missed: missed}}
		}
	}
	out := s.startDue(ctx, &o)
	if out.err != nil && missed > 0 {
		out.move = &plans.Move{Plan: p, NextAt: o.planned}
	}
	if out.move != nil {
		out.move.Missed = missed
	}
	return out
}

// occurrence looks up the trigger of a plan. A plan that does not match the current workflow,
// because of a change that this process has not seen or a damaged row, is created again and not
// fired: ok is false. An occurrence without a schedule ends the plan.
func (s *Scheduler) occurrence(ctx context.Context, p plans.Plan, now time.Time) (o occurrence, ok bool, err error) {
	o = occurrence{plan: p, planned: p.NextAt, now: now}
	summary, err := s.catalog.Summary(ctx, p.Workflow)
	if err == nil {
		o.definition, err = s.catalog.Definition(ctx, p.Workflow, summary.Version)
	}
	if err != nil && firing.Temporary(err) {
		return o, false, err
	}
	if err == nil {
		o.trigger = o.definition.Triggers[p.Trigger]
		if summary.Enabled && o.trigger.Type == workflows.TriggerCron && p.Same(schedule.Of(o.trigger)) {
			if o.schedule, err = p.Parse(); err == nil {
				return o, true, nil
			}
		}
	}
	if err = s.refresh(ctx, p.Workflow); err == nil || firing.Temporary(err) {
		return o, false, err
	}
	s.logger.Error("the schedule does not fire until its workflow is valid", firing.Reference(p.Workflow, p.Trigger), "error", err)
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
	if began.Sub(o.planned) < maxCaughtUp*o.schedule.Grain() || age < maxCaughtUp*o.schedule.Grain() {
		return oldest
	}
	return o.schedule.Latest(maxCaughtUp, oldest, began, o.plan.Anchor)
}

// startDue starts the run of an occurrence. The engine decides, and records, whether a running run
// or a limit prevents it. An error decides nothing; an occurrence that can never start is dropped.
func (s *Scheduler) startDue(ctx context.Context, o *occurrence) outcome {
	to := &plans.Move{Plan: o.plan, NextAt: o.schedule.Next(o.planned, o.plan.Anchor)}
	out := outcome{move: to, result: resultStarted, late: o.now.Sub(o.planned)}
	switch started, err := s.startOccurrence(ctx, o); {
	case err != nil && firing.Temporary(err):
		return outcome{err: err}
	case err != nil:
		s.logger.Error("a schedule cannot start its workflow", firing.Reference(o.plan.Workflow, o.plan.Trigger), "planned", o.planned, "error", err)
		out.result = resultRefused
	case started.Skipped:
		out.result, to.Skipped = "", 1
	}
	return out
}

// startOccurrence starts the run of one occurrence; repeated, it returns the first result.
func (s *Scheduler) startOccurrence(ctx context.Context, o *occurrence) (engine.Started, error) {
	planned := o.planned
	trigger := runs.TriggerRef{ID: o.plan.Trigger, Type: workflows.TriggerCron, FiredAt: o.now.UTC(), ScheduledAt: &planned}
	input, err := cronInput(ctx, o.definition, o.trigger, trigger)
	if err != nil {
		return engine.Started{}, err
	}
	return s.starter.Start(ctx, engine.Start{Workflow: o.plan.Workflow, Trigger: trigger, Input: input, Dedupe: o.dedupe()})
}

// dedupe is the key of the occurrence. It is kept until the occurrence is too old to be started.
func (o *occurrence) dedupe() *runs.DedupeKey {
	expires := o.now.Add(firing.DedupeFor)
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
	template, errs := expression.CompileValue(t.Input, firing.Scope())
	if len(errs) > 0 {
		return nil, fault.New(fault.Invalid, "the trigger's input does not compile").Because(errs[0])
	}
	vars := map[string]any{"vars": firing.Vars(d), "trigger": map[string]any{
		"id": ref.ID, "type": ref.Type, "fired_at": firing.Time(ref.FiredAt), "scheduled_at": firing.Time(*ref.ScheduledAt),
	}}
	value, err := template.Eval(ctx, expression.Env{Vars: vars})
	if err != nil {
		return nil, fault.New(fault.Invalid, "the trigger's input cannot be evaluated").Because(err)
	}
	return jsonvalue.Encode(value)
}
