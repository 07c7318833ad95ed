package cron

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"keyflow/triggers/firing"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

// Trigger is a schedule as text: there may be a hundred thousand, so it is parsed on use.
type Trigger struct {
	schedule.Spec
	ID      string
	Overlap string
}

// Planner keeps one plan in the store for each enabled cron trigger. It is safe for concurrent use.
type Planner struct {
	store  plans.Store
	now    func() time.Time
	logger *slog.Logger
	wake   chan struct{} // holds one token: plans have changed

	mu   sync.Mutex
	live map[workflows.ID]int // how many triggers have a plan; guarded by mu
}

// NewPlanner returns a planner that expects no plan.
func NewPlanner(store plans.Store, now func() time.Time, logger *slog.Logger) *Planner {
	return &Planner{store: store, now: now, logger: logger, wake: make(chan struct{}, 1), live: make(map[workflows.ID]int)}
}

// Parse returns the schedule of a trigger; nil, and a line in the log, when it is not valid.
func (p *Planner) Parse(id workflows.ID, c Trigger) *schedule.Schedule {
	parsed, err := c.Parse()
	if err != nil {
		p.logger.Error("schedule is not valid", firing.Reference(id, c.ID), "error", err)
		return nil
	}
	return parsed
}

// Wanted are the triggers of a workflow that should have a plan.
type Wanted struct {
	Workflow workflows.ID
	Triggers []Trigger
}

// Arm stores the plans of the given triggers, removes other plans of their workflows, and returns
// how many plans it made. A plan whose schedule did not change stays; a new or edited schedule
// begins now. When nothing has changed it costs two queries for all workflows.
func (p *Planner) Arm(ctx context.Context, list ...Wanted) (armed int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	ids := make([]workflows.ID, len(list))
	for i, w := range list {
		ids[i] = w.Workflow
		p.expect(w.Workflow, unknownPlans)
	}
	all, err := p.store.Plans(ctx, ids...)
	if err != nil {
		return 0, fmt.Errorf("read plans: %w", err)
	}
	stored := make(map[workflows.ID][]plans.Plan, len(list))
	for _, plan := range all {
		stored[plan.Workflow] = append(stored[plan.Workflow], plan)
	}
	var fresh []plans.Plan
	live, now := make([]int, len(list)), p.now()
	for i, w := range list {
		kept, err := p.keep(ctx, w, stored[w.Workflow])
		if err != nil {
			return 0, err
		}
		for _, c := range w.Triggers {
			next, valid := p.nextOf(w.Workflow, c, kept, now)
			if !next.IsZero() {
				live[i]++
			}
			if !valid {
				fresh = append(fresh, plans.Plan{Workflow: w.Workflow, Trigger: c.ID, Spec: c.Spec, Anchor: now, NextAt: next})
			}
		}
	}
	if len(fresh) > 0 {
		if err := p.store.Arm(ctx, fresh); err != nil {
			return 0, fmt.Errorf("plan schedules: %w", err)
		}
	}
	for i, w := range list {
		p.expect(w.Workflow, live[i])
	}
	p.notify()
	return len(fresh), nil
}

// keep removes the stored plans of triggers that no longer exist.
func (p *Planner) keep(ctx context.Context, w Wanted, stored []plans.Plan) ([]plans.Plan, error) {
	ids := make([]string, len(w.Triggers))
	for i, c := range w.Triggers {
		ids[i] = c.ID
	}
	gone := func(plan plans.Plan) bool { return !slices.Contains(ids, plan.Trigger) }
	if !slices.ContainsFunc(stored, gone) {
		return stored, nil
	}
	if err := p.store.Keep(ctx, w.Workflow, ids); err != nil {
		return nil, fmt.Errorf("remove plans of %s: %w", w.Workflow, err)
	}
	return slices.DeleteFunc(stored, gone), nil
}

// nextOf returns when a trigger is due next, and whether a stored plan says so; if not, a plan
// must be made. A schedule that is not valid needs no plan.
func (p *Planner) nextOf(id workflows.ID, c Trigger, stored []plans.Plan, now time.Time) (next time.Time, ok bool) {
	i := slices.IndexFunc(stored, func(plan plans.Plan) bool { return plan.Trigger == c.ID && plan.Same(c.Spec) })
	if i >= 0 && !stored[i].NextAt.IsZero() {
		return stored[i].NextAt, true
	}
	parsed := p.Parse(id, c)
	switch {
	case parsed == nil:
		return time.Time{}, true
	case i < 0:
		return parsed.Next(now, now), false
	default:
		next = parsed.Next(now, stored[i].Anchor)
		return next, next.IsZero() // it has ended
	}
}

// Remove deletes the plans of a workflow.
func (p *Planner) Remove(ctx context.Context, id workflows.ID) error {
	p.expect(id, 0)
	return p.store.Keep(ctx, id, nil)
}

// Plans returns the stored plans of a workflow, ordered by trigger.
func (p *Planner) Plans(ctx context.Context, id workflows.ID) ([]plans.Plan, error) {
	return p.store.Plans(ctx, id)
}

// Complete reports whether as many plans are stored as there should be; false while that is not
// known. It counts the plans, which is cheap.
func (p *Planner) Complete(ctx context.Context) (bool, error) {
	planned, err := p.store.Planned(ctx)
	if err != nil {
		return false, fmt.Errorf("count plans: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, live := range p.live {
		if live == unknownPlans {
			return false, nil
		}
		planned -= live
	}
	return planned == 0, nil
}

// Differing returns the workflows that do not have as many plans as they should have.
func (p *Planner) Differing(ctx context.Context) ([]workflows.ID, error) {
	counts, err := p.store.Counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count plans: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var differ []workflows.ID
	for id, live := range p.live {
		if counts[id] != live {
			differ = append(differ, id)
		}
	}
	for id := range counts {
		if _, expected := p.live[id]; !expected {
			differ = append(differ, id)
		}
	}
	return differ, nil
}

// unknownPlans is no number: Differing names the workflow.
const unknownPlans = -1

// expect records how many triggers of a workflow should have a plan.
func (p *Planner) expect(id workflows.ID, live int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live[id] = live; live == 0 {
		delete(p.live, id)
	}
}

// notify wakes the scheduler.
func (p *Planner) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
