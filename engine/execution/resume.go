package execution

import (
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

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

// release gives a claimed run back: it is tried again.
func (p *Process) release(run runs.Run) {
	err := p.Dispatcher.Write(&runs.Progress{Run: run.ID, Owner: run.Owner, Fence: run.Fence, Set: &runs.Change{Status: runs.Queued, Release: true}})
	if err != nil {
		p.Attempts.Logger.Error("cannot hand a run back", "run", run.ID, "error", err)
	}
}
