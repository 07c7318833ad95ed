package engine

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// settle stores the news and starts what depends on them, until there are none. It is
// called with r.mu held and releases it.
func (r *runner) settle() {
	if r.settling {
		r.mu.Unlock()
		return
	}
	r.settling = true
	for !r.gone {
		entry, next := r.news(), r.takeNext()
		if entry == nil && len(next) == 0 {
			break
		}
		r.mu.Unlock()
		var err error
		if entry != nil {
			err = r.engine.write(entry)
		}
		if err == nil {
			r.publish(entry)
			for _, key := range next {
				r.submit(key)
			}
		}
		r.mu.Lock()
		if err != nil {
			r.atWork -= len(next)
			r.refused(entry, err)
		} else {
			r.stored(entry)
		}
	}
	r.settling = false
	r.mu.Unlock()
}

// takeNext takes the steps to start after the news are stored. r.mu is held.
func (r *runner) takeNext() []state.StepKey {
	next := r.next
	r.next = nil
	if r.leaving || r.verdict != "" {
		return nil // whoever gets the run finds out again what was to start
	}
	r.atWork += len(next)
	return next
}

// news takes what is to be stored now; nil when nothing is. r.mu is held.
func (r *runner) news() *runs.Progress {
	p := &runs.Progress{
		Run: r.run.ID, Owner: r.run.Owner, Fence: r.run.Fence, Frees: r.run.FreesSlotsOf(),
		Steps: r.rows, Starts: r.starts, Signals: r.tell, Events: r.emitted, ReadSignals: r.readSeq, Answer: r.takeAnswer(),
	}
	switch {
	case r.verdict != "":
		if p.Set = r.conclude(); !r.startOnFailure(p) {
			p.Set = &runs.Change{Status: runs.Queued, Release: true} // whoever gets the run ends it
			break
		}
		r.reportEnd(p)
		r.engine.announce(&r.run, p)
	case r.leaving && r.atWork == 0:
		p.Set = r.handBack()
	case r.state.Idle() && len(r.next) == 0 && !r.awake && !r.leaving:
		if due := r.soonest(); due == nil || due.Sub(r.engine.now()) >= parkAfter {
			p.Set = &runs.Change{Status: runs.Waiting, WakeAt: due, Release: true}
		}
	}
	if p.Set == nil && len(p.Steps) == 0 && len(p.Signals) == 0 {
		r.arm()
		return nil
	}
	r.rows, r.starts, r.tell, r.emitted = nil, nil, nil, nil
	return p
}

// reportEnd tells the step that started this run how it ended.
func (r *runner) reportEnd(p *runs.Progress) {
	if r.run.Parent == nil {
		return
	}
	s, err := reportEnd(&r.run, p.Set)
	if err != nil { // plain JSON cannot fail
		r.engine.o.Logger.Error("cannot report the end of a run", "run", r.run.ID, "error", err)
		return
	}
	p.Signals = append(p.Signals, s)
}

// soonest is the earliest due time of the waiting steps; nil when none has one. r.mu is held.
func (r *runner) soonest() *time.Time {
	var first *time.Time
	for _, step := range r.live {
		if !step.due.IsZero() && (first == nil || step.due.Before(*first)) {
			first = &step.due
		}
	}
	if first == nil {
		return nil
	}
	at := *first // the step goes on living
	return &at
}

// handBack gives the run up, so that another process, or the next start of this one, goes on.
func (r *runner) handBack() *runs.Change {
	if r.state.Idle() {
		return &runs.Change{Status: runs.Waiting, WakeAt: r.soonest(), Release: true}
	}
	return &runs.Change{Status: runs.Queued, Release: true}
}

// unstored is the message of a run whose results the store refuses.
const unstored = "internal error: a result could not be stored"

// conclude decides how the run ends. All nodes have ended, so nobody waits for r.mu but
// readers. r.mu is held.
func (r *runner) conclude() *runs.Change {
	at := r.newest
	set := &runs.Change{Status: r.verdict, FinishedAt: &at}
	switch {
	case r.broken:
		set.Status, set.Error = runs.Failed, &runs.RunError{Code: nodes.CodeInternal, Message: unstored}
	case r.verdict == runs.Failed:
		set.Error = cmp.Or(r.failure, &runs.RunError{Code: nodes.CodeInternal, Message: "internal error"})
	case r.verdict == runs.Succeeded && r.plan.Output != nil:
		output, err := r.output()
		if err != nil {
			set.Status, set.Error = runs.Failed, &runs.RunError{Code: err.Code, Message: values.ShortMessage(err.Message)}
		}
		set.Output = output
	}
	return set
}

// output evaluates the run's result.
func (r *runner) output() ([]byte, *nodes.Error) {
	use, err := r.values.Vars(&r.plan.OutputRead)
	if err != nil {
		return nil, values.VarsError(fmt.Errorf("output: %w", err))
	}
	ctx := r.engine.steps
	v, err := r.plan.Output.Eval(ctx, values.Environment(r.run.ID, "output", r.newest, use.Vars))
	if err != nil {
		return nil, values.ExpressionError(ctx, "output", err)
	}
	raw, err := jsonvalue.EncodeShown(v)
	if err != nil {
		return nil, &nodes.Error{Code: nodes.CodeExpression, Message: "output: the value cannot be written as JSON"}
	}
	return raw, r.engine.process.CheckSize(raw)
}

// stored notes that an entry is on disk. r.mu is held.
func (r *runner) stored(p *runs.Progress) {
	if p == nil {
		return
	}
	r.said(p.Answer)
	r.engine.watchHolds(p.Steps)
	for i := range p.Signals {
		r.engine.told(p.Signals[i].Run)
	}
	if p.Set == nil {
		r.arm()
		return
	}
	if p.Set.Status.Final() {
		final := r.run.With(p.Set)
		r.final = &final
	}
	r.leave(attempt.ErrLeaving)
	if p.Set.Status == runs.Waiting && p.Set.WakeAt != nil {
		r.engine.wakeAt(r.run.ID, r.run.Workflow, *p.Set.WakeAt)
	}
}

// refused deals with an entry that was not stored. r.mu is held.
func (r *runner) refused(p *runs.Progress, err error) {
	if p != nil && !errors.Is(err, runs.ErrSignals) {
		r.engine.unreserve(p.Starts)
	}
	switch {
	case errors.Is(err, runs.ErrSignals):
		r.rows, r.starts, r.tell = append(p.Steps, r.rows...), append(p.Starts, r.starts...), append(p.Signals, r.tell...)
		r.say(p.Answer)
		r.emitted = append(p.Events, r.emitted...)
		r.awake = r.readSeq == p.ReadSignals // else they have been applied meanwhile
		r.mu.Unlock()
		signals, err := r.engine.o.Store.Signals(r.engine.steps, r.run.Owner)
		r.mu.Lock()
		if err != nil {
			r.engine.o.Logger.Warn("cannot read signals; they are read again with the next beat", "run", r.run.ID, "error", err)
		}
		r.apply(signals)
	case errors.Is(err, runs.ErrFenced):
		r.engine.o.Logger.Warn("lost a run to another process", "run", r.run.ID)
		r.leave(attempt.ErrLost)
	case fault.Is(err, fault.Unavailable):
		r.engine.o.Logger.Error("cannot store the progress of a run; it is resumed later", "run", r.run.ID, "error", err)
		r.leave(attempt.ErrLost)
	case r.broken:
		r.engine.o.Logger.Error("the store refused the end of a run: it ends without anything else", "run", r.run.ID, "error", err)
		r.mu.Unlock()
		r.engine.fail(r.run, nodes.CodeInternal, unstored)
		r.mu.Lock()
		r.leave(attempt.ErrLost)
	default:
		r.engine.o.Logger.Error("the store refused the progress of a run", "run", r.run.ID, "error", err)
		r.broken, r.verdict = true, runs.Failed
		r.interrupt(attempt.ErrLost)
	}
}

// publish tells watchers what was stored.
func (r *runner) publish(p *runs.Progress) {
	if p == nil || !r.engine.hub.Watched() {
		return
	}
	updates := make([]live.Update, 0, len(p.Steps)+1)
	for i := range p.Steps {
		updates = append(updates, live.Update{Step: &p.Steps[i]})
	}
	if p.Set != nil {
		run := r.run.With(p.Set)
		updates = append(updates, live.Update{Run: &run})
	}
	r.engine.hub.Publish(r.run.ID, updates...)
}
