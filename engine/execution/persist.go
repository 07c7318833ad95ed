package execution

import (
	"errors"
	"fmt"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/dispatch"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// persist stores what is pending and starts what depends on it, until nothing is. It is called with
// r.mu held and releases it.
func (r *Run) persist() {
	if r.persisting {
		r.mu.Unlock()
		return
	}
	r.persisting = true
	for !r.gone {
		entry, next := r.entry(), r.takeNext()
		if entry == nil && len(next) == 0 {
			break
		}
		r.mu.Unlock()
		var err error
		if entry != nil {
			err = r.process.Dispatcher.Write(entry)
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
	r.persisting = false
	r.mu.Unlock()
}

// takeNext takes the steps to start once the entry is stored. r.mu is held.
func (r *Run) takeNext() []state.StepKey {
	next := r.next
	r.next = nil
	if r.leaving || r.verdict != "" {
		return nil // whoever gets the run finds out again what was to start
	}
	r.atWork += len(next)
	return next
}

// entry takes what is to be stored now; nil when nothing is. r.mu is held.
func (r *Run) entry() *runs.Progress {
	p := &runs.Progress{
		Run: r.run.ID, Owner: r.run.Owner, Fence: r.run.Fence, Frees: r.run.FreesSlotsOf(),
		Answer: r.reply.take(),
	}
	r.pending.take(p)
	switch {
	case r.verdict != "":
		end := ending{r}
		if p.Set = end.conclude(); !end.startOnFailure(p) {
			p.Set = &runs.Change{Status: runs.Queued, Release: true} // whoever gets the run ends it
			break
		}
		end.report(p)
		r.process.announce(&r.run, p)
	case r.leaving && r.atWork == 0:
		p.Set = r.handBack()
	case r.state.Idle() && len(r.next) == 0 && !r.awake && !r.leaving:
		if due := r.soonest(); due == nil || due.Sub(r.process.now()) >= parkAfter {
			p.Set = &runs.Change{Status: runs.Waiting, WakeAt: due, Release: true}
		}
	}
	if p.Set == nil && len(p.Steps) == 0 && len(p.Signals) == 0 {
		r.arm()
		return nil
	}
	r.pending.clear()
	return p
}

// handBack gives the run up, so that another process, or the next start of this one, goes on.
func (r *Run) handBack() *runs.Change {
	if r.state.Idle() {
		return &runs.Change{Status: runs.Waiting, WakeAt: r.soonest(), Release: true}
	}
	return &runs.Change{Status: runs.Queued, Release: true}
}

// stored notes that an entry is on disk. r.mu is held.
func (r *Run) stored(p *runs.Progress) {
	if p == nil {
		return
	}
	r.reply.onDisk(p.Answer)
	r.process.Checks.Watch(p.Steps)
	for i := range p.Signals {
		r.process.Dispatcher.Signaled(p.Signals[i].Run)
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
		r.process.Dispatcher.WakeAt(r.run.ID, r.run.Workflow, *p.Set.WakeAt)
	}
}

// refused deals with an entry that was not stored. r.mu is held.
func (r *Run) refused(p *runs.Progress, err error) {
	if p != nil && !errors.Is(err, runs.ErrSignals) {
		r.process.unreserve(p.Starts)
	}
	switch {
	case errors.Is(err, runs.ErrSignals):
		r.pending.putBack(p)
		r.reply.say(p.Answer)
		r.awake = r.readSeq == p.ReadSignals // else they have been applied meanwhile
		r.mu.Unlock()
		signals, err := r.process.Store.Signals(r.process.Context, r.run.Owner)
		r.mu.Lock()
		if err != nil {
			r.process.Attempts.Logger.Warn("cannot read signals; they are read again with the next beat", "run", r.run.ID, "error", err)
		}
		r.applySignals(signals)
	case errors.Is(err, runs.ErrFenced):
		r.process.Attempts.Logger.Warn("lost a run to another process", "run", r.run.ID)
		r.leave(attempt.ErrLost)
	case fault.Is(err, fault.Unavailable):
		r.process.Attempts.Logger.Error("cannot store the progress of a run; it is resumed later", "run", r.run.ID, "error", err)
		r.leave(attempt.ErrLost)
	case r.broken:
		r.process.Attempts.Logger.Error("the store refused the end of a run: it ends without anything else", "run", r.run.ID, "error", err)
		r.mu.Unlock()
		r.process.fail(r.run, nodes.CodeInternal, unstored)
		r.mu.Lock()
		r.leave(attempt.ErrLost)
	default:
		r.process.Attempts.Logger.Error("the store refused the progress of a run", "run", r.run.ID, "error", err)
		r.broken, r.verdict = true, runs.Failed
		r.interrupt(attempt.ErrLost)
	}
}

// publish shows watchers what was stored.
func (r *Run) publish(p *runs.Progress) {
	if p == nil || !r.process.Hub.Watched() {
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
	r.process.Hub.Publish(r.run.ID, updates...)
}

// watchTimeout limits the running time that is left. r.mu is held.
func (r *Run) watchTimeout(left time.Duration) {
	r.deadline = time.AfterFunc(left, func() {
		r.mu.Lock()
		if r.failure == nil {
			r.failure = &runs.RunError{Code: nodes.CodeTimeout, Message: fmt.Sprintf("the run took longer than its timeout of %s", workflows.Duration(r.plan.Timeout))}
		}
		r.apply(state.Event{Kind: state.TimedOut}, r.tick())
		r.persist()
	})
}

// arm sets the timers of waiting steps whose due time is on disk. r.mu is held.
func (r *Run) arm() {
	for _, key := range r.unarmed {
		if step := r.live[key]; step != nil && step.status == runs.StepWaiting && !step.due.IsZero() {
			step.timer = time.AfterFunc(step.due.Sub(r.process.now()), func() { r.dueNow(key) })
		}
	}
	r.unarmed = r.unarmed[:0]
}

func (r *Run) dueNow(key state.StepKey) {
	r.mu.Lock()
	if step := r.live[key]; !r.leaving && !r.gone && step != nil {
		step.timer = nil
		if step.awaits != "" {
			go r.process.Dispatcher.Late(r.run.ID, r.plan.Nodes[key.Node].ID, key.Index)
		} else {
			r.apply(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
		}
	}
	r.persist()
}

// submit hands a step to the queue.
func (r *Run) submit(key state.StepKey) {
	r.process.Queue.Submit(&dispatch.Task{
		Run: r.run.ID, Workflow: r.run.Workflow, Queue: &r.queue,
		Do:   func(release func()) { r.work(key, release) },
		Drop: r.dropped,
	})
}
