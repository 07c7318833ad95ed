// Package cron starts runs at the times of schedules.
//
//	Planner    enabled cron triggers ──▶ plans (store), one row per trigger
//	Scheduler  due plan ──▶ Starter.Start (idempotent) ──▶ Advance (compare and set)
//
// It must not know where plans are stored, nor how definitions are followed.
package cron

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"keyflow/engine"
	"keyflow/triggers/firing"
	"keyflow/triggers/plans"
	"keyflow/workflows"
)

const (
	// maxSleep is how long Sleep waits at most: the clock may be set, and another process may
	// add a plan.
	maxSleep = time.Second
	// batch is how many plans are read at once.
	batch = 256
)

// Catalog has the definitions of scheduled workflows; *workflows.Catalog is one.
type Catalog interface {
	Summary(ctx context.Context, id workflows.ID) (workflows.Summary, error) // may be a moment old
	Definition(ctx context.Context, id workflows.ID, version int) (*workflows.Definition, error)
}

// Starter starts runs; *engine.Engine is one.
type Starter interface {
	Start(ctx context.Context, s engine.Start) (engine.Started, error)
}

// Scheduler starts the runs of due plans. Any number of processes may do so for the same store.
type Scheduler struct {
	planner *Planner
	catalog Catalog
	starter Starter
	refresh func(ctx context.Context, id workflows.ID) error
	logger  *slog.Logger
	metrics *metrics
}

// NewScheduler returns a scheduler. It calls refresh to plan a workflow again whose plan does not
// match its definition.
func NewScheduler(p *Planner, c Catalog, s Starter, refresh func(ctx context.Context, id workflows.ID) error) *Scheduler {
	return &Scheduler{planner: p, catalog: c, starter: s, refresh: refresh, logger: p.logger, metrics: newMetrics()}
}

// Sleep waits until a plan is due or plans change, at most maxSleep. A plan that was due at
// drained could not start and is not tried again at once.
func (s *Scheduler) Sleep(ctx context.Context, drained time.Time) {
	wait := maxSleep
	if next, err := s.planner.store.NextDue(ctx); err == nil && next.After(drained) {
		wait = min(maxSleep, max(next.Sub(s.planner.now()), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.planner.wake:
	case <-timer.C:
	}
}

// Drain fires everything that is due at now, in time order. Occurrences long due at began were
// missed while no process ran. It reports whether any plan advanced.
func (s *Scheduler) Drain(ctx context.Context, now, began time.Time) bool {
	var r round
	var after plans.Plan
	for ctx.Err() == nil {
		due, err := s.planner.store.Due(ctx, now, after, batch)
		if err != nil {
			r.add(false, err)
			break
		}
		s.fireAll(ctx, &r, due, moment{now, began})
		if len(due) < batch {
			break
		}
		after = due[len(due)-1]
	}
	if r.failed > 0 && ctx.Err() == nil {
		s.logger.Error("due schedules could not start; they are tried again", "count", r.failed, "error", r.err)
	}
	return r.moved > 0
}

// moment is the time of a round, and when the process began to fire without a pause.
type moment struct{ now, began time.Time }

// fireAll fires plans side by side and then advances them together. When the process ends
// between the two, the dedupe keys keep the same runs from starting again.
func (s *Scheduler) fireAll(ctx context.Context, r *round, due []plans.Plan, at moment) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, firing.Parallel)
	outcomes := make([]outcome, len(due))
	for i, p := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = s.fire(ctx, p, at)
		})
	}
	wg.Wait()
	var moves []plans.Move
	var decided []outcome
	for _, o := range outcomes {
		r.add(o.recreated, o.err)
		if o.move != nil {
			moves, decided = append(moves, *o.move), append(decided, o)
		}
	}
	moved, err := s.planner.store.Advance(ctx, moves)
	if err != nil {
		r.add(false, err)
		return
	}
	for i, o := range decided {
		if moved[i] {
			r.add(true, nil)
			s.metrics.observe(o)
		}
	}
}

// round counts the results of one drain.
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
