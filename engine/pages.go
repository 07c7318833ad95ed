package engine

import (
	"context"
	"slices"

	"keyflow/engine/runs"
)

// Steps returns a page of a run's steps, those at work in this process as they are. Unlike Run
// it does not collect the output of a for_each from its elements.
func (e *Engine) Steps(ctx context.Context, f runs.StepFilter) ([]runs.Step, error) {
	steps, err := e.o.Store.StepPage(ctx, f)
	if err != nil {
		return nil, err
	}
	if r := e.running(f.Run); r != nil {
		steps = overlayPage(&f, steps, r.AtWork())
	}
	withoutPendingOutputs(steps)
	return steps, nil
}

// overlayPage puts the steps at work that belong on the page into it.
func overlayPage(f *runs.StepFilter, page, now []runs.Step) []runs.Step {
	full := len(page) >= f.Limit
	var last runs.StepPlace
	if full {
		last = page[len(page)-1].Place()
	}
	now = slices.DeleteFunc(now, func(s runs.Step) bool {
		at := s.Place()
		return f.Node != "" && f.Node != s.Node || f.Status != "" && f.Status != s.Status ||
			f.After.Node != "" && at.Compare(f.After) <= 0 || full && at.Compare(last) > 0
	})
	page = overlay(page, now)
	slices.SortFunc(page, func(a, b runs.Step) int { return a.Place().Compare(b.Place()) })
	return page[:min(len(page), f.Limit)]
}

// StepCounts returns how many steps of the run have each status. Steps that wait between two
// attempts elsewhere may be counted as they were stored last.
func (e *Engine) StepCounts(ctx context.Context, id runs.ID) (map[runs.StepStatus]int, error) {
	counts, err := e.o.Store.StepCounts(ctx, id)
	if err != nil {
		return nil, err
	}
	r := e.running(id)
	if r == nil {
		return counts, nil
	}
	for _, s := range r.AtWork() {
		if len(s.Attempts) > 1 && counts[runs.StepWaiting] > 0 { // it was stored between two attempts
			if counts[runs.StepWaiting]--; counts[runs.StepWaiting] == 0 {
				delete(counts, runs.StepWaiting)
			}
		}
		counts[runs.StepRunning]++
	}
	return counts, nil
}

// withoutPendingOutputs hides what pending steps were given: it is not their output yet.
func withoutPendingOutputs(steps []runs.Step) {
	for i := range steps {
		if steps[i].Status == runs.StepPending {
			steps[i].Output = nil
		}
	}
}

// overlay replaces or adds steps; one that has ended on disk stays.
func overlay(stored, now []runs.Step) []runs.Step {
	place := make(map[runs.StepRef]int, len(stored))
	for i := range stored {
		place[runs.StepRef{Node: stored[i].Node, Index: stored[i].Index}] = i
	}
	for _, s := range now {
		i, ok := place[runs.StepRef{Node: s.Node, Index: s.Index}]
		switch {
		case !ok:
			stored = append(stored, s)
		case !stored[i].Status.Final():
			stored[i] = s
		}
	}
	return stored
}
