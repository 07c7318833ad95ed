// Package execution carries out runs: it applies events to the state of a run, stores what follows,
// and starts the steps that are due. A run of this process is a [Run]; one that another process has
// begun is brought back from its stored steps.
//
// It must not know why runs start, nor how a node works.
package execution

import (
	"context"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/dispatch"
	"keyflow/engine/events"
	"keyflow/engine/live"
	"keyflow/engine/ownership"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// Process is what the process lends to all runs.
type Process struct {
	Attempts   *attempt.Process
	Dispatcher *dispatch.Dispatcher
	Checks     *dispatch.CredentialChecks
	Queue      *dispatch.Queue
	Live       *dispatch.Registry
	Ownership  *ownership.Ownership
	Store      Store
	Hub        *live.Hub
	// Wants reports whether anybody may be waiting for events of a type about something in a
	// folder; nil: nobody.
	Wants func(eventType, folder string) bool
	// Context ends with the steps of the process.
	Context context.Context //nolint:containedctx // steps belong to no request
}

// Store is what runs read.
type Store interface {
	Run(ctx context.Context, id runs.ID) (runs.Run, error)
	Answer(ctx context.Context, id runs.ID) (*runs.Answer, error)
	Signals(ctx context.Context, owner runs.OwnerID) ([]runs.Signal, error)
}

func (p *Process) now() time.Time { return p.Attempts.Now() }

// Begin carries out a new run that this process owns. Steps are those that have ended already.
func (p *Process) Begin(of *plan.Plan, run runs.Run, steps []runs.Step, gaps int64) {
	r := newRun(p, of, run, gaps)
	switch {
	case p.Live.Add(run.ID, r):
		r.quit()
	case len(steps) > 0:
		replay{r}.restore(&runs.Loaded{Run: run, Steps: steps})
	default:
		r.begin()
	}
}

// Resume goes on with a run that this process has just become the owner of; false when it had
// to be given back. gaps is that of Ownership before the claim.
func (p *Process) Resume(l *runs.Loaded, gaps int64) bool {
	if l.Err != nil {
		p.Attempts.Logger.Error("what is stored of a run cannot be read", "run", l.Run.ID, "error", l.Err)
		p.fail(l.Run, nodes.CodeInternal, "internal error: what is stored of the run cannot be read")
		return true
	}
	plan, err := p.Attempts.Starts.PlanOf(p.Context, &l.Run)
	if err != nil {
		if fault.Is(err, fault.Unavailable) || p.Context.Err() != nil {
			p.release(l.Run)
			return false
		}
		p.Attempts.Logger.Error("cannot resume a run", "run", l.Run.ID, "workflow", l.Run.Workflow, "version", l.Run.Version, "error", err)
		p.fail(l.Run, nodes.CodeInterrupted, "the run cannot be resumed: "+fault.Message(err))
		return true
	}
	r := newRun(p, plan, l.Run, gaps)
	if p.Live.Add(r.run.ID, r) {
		r.quit()
		return true
	}
	replay{r}.restore(l)
	return true
}

// fail ends a run that cannot go on.
func (p *Process) fail(run runs.Run, code, message string) {
	now := p.now()
	entry := &runs.Progress{Run: run.ID, Owner: run.Owner, Fence: run.Fence, Frees: run.FreesSlotsOf(), Set: &runs.Change{
		Status: runs.Failed, FinishedAt: &now, Error: &runs.RunError{Code: code, Message: message},
	}}
	if run.Parent != nil {
		if s, err := reportEnd(&run, entry.Set); err == nil {
			entry.Signals = []runs.Signal{s}
		}
	}
	p.announce(&run, entry)
	if err := p.Dispatcher.Write(entry); err != nil {
		p.Attempts.Logger.Error("cannot store the end of a run", "run", run.ID, "error", err)
		return
	}
	for i := range entry.Signals {
		p.Dispatcher.Signaled(entry.Signals[i].Run)
	}
}

// release gives a claimed run back: it is tried again.
func (p *Process) release(run runs.Run) {
	err := p.Dispatcher.Write(&runs.Progress{Run: run.ID, Owner: run.Owner, Fence: run.Fence, Set: &runs.Change{Status: runs.Queued, Release: true}})
	if err != nil {
		p.Attempts.Logger.Error("cannot hand a run back", "run", run.ID, "error", err)
	}
}

// forget takes a run out that has left.
func (p *Process) forget(r *Run) {
	p.Live.Forget(r.run.ID)
	if r.final != nil && r.run.Version == 0 {
		p.Attempts.Starts.Forget(r.run.ID)
	}
}

// unreserve frees the places of runs that were to be stored and are not.
func (p *Process) unreserve(starts []runs.NewRun) {
	for i := range starts {
		p.Queue.Unreserve(starts[i].Run.ID)
	}
}

// announce adds the event of the end of a run to its last entry.
func (p *Process) announce(run *runs.Run, entry *runs.Progress) {
	if err := events.AddFinished(run, entry, p.Wants); err != nil {
		p.Attempts.Logger.Error("cannot tell of the end of a run", "run", run.ID, "error", err)
	}
}
