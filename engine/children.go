package engine

import (
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"keyflow/engine/attempt"
	"keyflow/engine/events"
	"keyflow/engine/runs"
	"keyflow/nodes"
	"keyflow/workflows"
)

// unreserve frees the places of runs that were to be stored and are not.
func (e *Engine) unreserve(starts []runs.NewRun) {
	for i := range starts {
		e.queue.Unreserve(starts[i].Run.ID)
	}
}

// unreserveUnstarted frees the place of a run that the attempt prepared and did not start. r.mu is
// held.
func (r *runner) unreserveUnstarted(s *attempt.Attempt) {
	if s == nil || s.Reserved == (runs.ID{}) {
		return
	}
	started := func(n runs.NewRun) bool { return n.Run.ID == s.Reserved }
	if !slices.ContainsFunc(r.starts, started) {
		r.engine.queue.Unreserve(s.Reserved)
	}
}

// reportEnd is the signal with which a run ends the wait of the step that started it.
func reportEnd(r *runs.Run, set *runs.Change) (runs.Signal, error) {
	b := runs.ExternalResult{Node: r.Parent.Node, Index: r.Parent.Index, Output: set.Output}
	switch {
	case set.Status == runs.Canceled:
		b.Error = &runs.StepError{Code: nodes.CodeCanceled, Message: "run " + r.ID.String() + " of workflow " + string(r.Workflow) + " was canceled"}
	case set.Status == runs.Failed && set.Error != nil:
		where := string(r.Workflow)
		if set.Error.Node != "" {
			where += "/" + string(set.Error.Node)
		}
		b.Error = &runs.StepError{Code: set.Error.Code, Message: where + ": " + set.Error.Message}
	case set.Output == nil:
		b.Output = json.RawMessage("null")
	}
	if b.Error != nil {
		b.Output = nil
	}
	s, err := b.Signal(r.Parent.Run)
	if err != nil {
		return runs.Signal{}, err
	}
	return *s, nil
}

// childOf reads the run that a waiting step started; zero when it started none.
func childOf(output json.RawMessage) runs.ID {
	var v struct {
		RunID runs.ID `json:"run_id"`
	}
	if json.Unmarshal(output, &v) != nil {
		return runs.ID{}
	}
	return v.RunID
}

// cancelChild tells the run that a step waits for that nobody does any more, with the next news
// of this run. r.mu is held.
func (r *runner) cancelChild(child runs.ID) {
	r.tell = append(r.tell, runs.Signal{Run: child, Kind: runs.SignalCancel, ID: uuid.NewSHA1(uuid.UUID(child), []byte(runs.SignalCancel))})
}

// childRuns is where the runs go that steps start.
type childRuns struct{ *Engine }

var _ attempt.Children = childRuns{}

// Reserve implements attempt.Children.
func (e childRuns) Reserve(run runs.ID, workflow workflows.ID) bool {
	return e.queue.Reserve(run, workflow, e.o.QueueLimit)
}

// Unreserve implements attempt.Children.
func (e childRuns) Unreserve(run runs.ID) { e.queue.Unreserve(run) }

// Create implements attempt.Children.
func (e childRuns) Create(n *runs.NewRun) runs.Outcome {
	out := <-e.journal.Send(runs.Entry{Create: n})
	e.tell(out.Woken)
	if out.Err == nil && !out.Waits {
		e.enqueue(runs.DueRun{Run: out.Run, Workflow: n.Run.Workflow}, nil)
	}
	return out
}

// announce adds the event of the end of a run to its last entry.
func (e *Engine) announce(run *runs.Run, p *runs.Progress) {
	if err := events.AddFinished(run, p, e.o.Wants); err != nil {
		e.o.Logger.Error("cannot tell of the end of a run", "run", run.ID, "error", err)
	}
}
