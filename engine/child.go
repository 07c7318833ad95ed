package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/nodes"
	"keyflow/workflows"
)

// maxChildDepth is how many workflows may start one another by workflow nodes.
const maxChildDepth = 16

// triggerWorkflow is the type of the trigger of a run that another run started.
const triggerWorkflow = "workflow"

// start prepares the run that a step asks for.
func (s *stepRun) start(ctx context.Context, want *nodes.Start) (*runs.NewRun, *nodes.Error) {
	e, parent := s.runner.engine, &s.runner.run
	if parent.Depth+1 > maxChildDepth {
		return nil, refusedStart("more than %d workflows have started one another in a row; this looks like a loop", maxChildDepth)
	}
	if !e.starts.HasCatalog() {
		return nil, refusedStart("there are no other workflows here")
	}
	id := workflows.ID(want.Workflow)
	n, err := e.starts.Prepare(ctx, id, want.Input, starts.Ask{Depth: parent.Depth + 1, Trigger: runs.TriggerRef{ID: string(s.plan.ID), Type: triggerWorkflow}})
	if n == nil && fault.Is(err, fault.NotFound) || n != nil && !s.mayStart(n.Run.Folder) {
		return nil, s.notStartable(id)
	}
	if err != nil {
		return nil, startError(ctx, id, err)
	}
	if want.Wait {
		n.Run.Parent = &runs.StepRef{Run: parent.ID, Node: s.plan.ID, Index: s.key.index}
	}
	if !e.queue.Reserve(n.Run.ID, id, e.o.QueueLimit) {
		return nil, s.queueIsFull()
	}
	s.reserved = n.Run.ID
	if err := s.childSlots(ctx, n, want.Wait); err != nil {
		return nil, err
	}
	return n, nil
}

// How long a step waits before it tries again to start a run. The wait grows, so that many waiting
// steps do not keep the process busy. It is long enough for the run of the step to be parked.
const (
	firstQueueWait = parkAfter
	lastQueueWait  = 30 * time.Second
)

// queueIsFull lets the step wait and try again. It fails once the step has waited for longer than
// its timeout, when it has one.
func (s *stepRun) queueIsFull() *nodes.Error {
	now, timeout := s.runner.engine.now(), s.plan.Timeout
	waited := now.Sub(s.readyToTry)
	if timeout > 0 && waited >= timeout {
		return &nodes.Error{
			Code:    nodes.CodeTimeout,
			Message: fmt.Sprintf("the workflow could not be started within the step's timeout of %s: the queue is full", workflows.Duration(timeout)),
		}
	}
	wait := min(max(waited/2, firstQueueWait), lastQueueWait)
	wait += time.Duration(jitter() * float64(wait/2))
	if timeout > 0 {
		wait = min(wait, timeout-waited)
	}
	return &nodes.Error{Code: nodes.CodeWaitsForTime, Message: "the queue is full; the start is tried again", Until: now.Add(wait)}
}

// unreserve frees the places of runs that were to be stored and are not.
func (e *Engine) unreserve(starts []runs.NewRun) {
	for i := range starts {
		e.queue.Unreserve(starts[i].Run.ID)
	}
}

// unreserveUnstarted frees the place of a run that the attempt prepared and did not start. r.mu is
// held.
func (r *runner) unreserveUnstarted(s *stepRun) {
	if s == nil || s.reserved == (runs.ID{}) {
		return
	}
	started := func(n runs.NewRun) bool { return n.Run.ID == s.reserved }
	if !slices.ContainsFunc(r.starts, started) {
		r.engine.queue.Unreserve(s.reserved)
	}
}

// mayStart reports whether the step may start a workflow in a folder: below that of its run, or,
// when the definition names the workflow literally, where whoever applied that may start it now.
func (s *stepRun) mayStart(folder string) bool {
	return startable(folder, s.runner.run.Folder) || s.namesLiterally() && startable(folder, s.runner.plan.Definition.StartScope)
}

func (s *stepRun) namesLiterally() bool {
	return slices.ContainsFunc(s.plan.Params, func(p plan.Param) bool { return p.Decl.Name == "workflow" && p.Literal })
}

// notStartable is the failure of a step whose workflow does not exist or may not be started. It
// does not say which: the author may not see the workflow.
func (s *stepRun) notStartable(id workflows.ID) *nodes.Error {
	run := &s.runner.run
	if !s.namesLiterally() {
		return refusedStart("there is no workflow %q in folder %s or below; to start one in another folder, write its id into the definition", id, run.Folder)
	}
	return refusedStart("there is no workflow %q, or it may not be started by whoever applied version %d of %q: somebody who may start it has to apply the next version",
		id, run.Version, run.Workflow)
}

// startable reports whether who may start workflows below scope may do so in folder.
func startable(folder, scope string) bool {
	return identity.Caller{Role: identity.Operator, Folder: scope}.May(identity.Operate, folder)
}

func refusedStart(format string, args ...any) *nodes.Error {
	return &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with.workflow: " + fault.New(fault.Invalid, format, args...).Message, Permanent: true}
}

// startError is the failure of a step whose workflow cannot be started.
func startError(ctx context.Context, id workflows.ID, err error) *nodes.Error {
	switch {
	case ctx.Err() != nil:
		return values.ContextError(ctx)
	case fault.Is(err, fault.Invalid):
		out := refusedStart("workflow %q cannot be started: %s", id, fault.Message(err))
		for _, p := range fault.ProblemsOf(err) {
			out.Message += "; " + p.Path + ": " + p.Message
		}
		return out
	case fault.Is(err, fault.TooLarge):
		return &nodes.Error{Code: nodes.CodeTooLarge, Message: "with.input: " + fault.Message(err), Permanent: true}
	default:
		return &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: err}
	}
}

// started is the outcome of a step that started a run and waits for its end.
func (s *stepRun) started(n *runs.NewRun) outcome {
	return outcome{
		kind: state.Postponed, idle: true, forever: true, awaits: nodes.CodeWaitsForWorkflow, start: n,
		output: childOutput(n.Run.ID),
		err:    &nodes.Error{Code: nodes.CodeWaitsForWorkflow, Message: "waits for run " + n.Run.ID.String() + " of workflow " + string(n.Run.Workflow)},
	}
}

// childOutput is the output of a step that started a run: what the history shows while it
// waits, and the raw output of one that does not wait.
func childOutput(id runs.ID) json.RawMessage {
	return json.RawMessage(`{"run_id":"` + id.String() + `"}`)
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

// reportEnd is the signal with which a run ends the wait of the step that started it.
func reportEnd(r *runs.Run, set *runs.Change) (runs.Signal, error) {
	b := brought{Node: r.Parent.Node, Index: r.Parent.Index, Output: set.Output}
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
	s, err := b.signal(r.Parent.Run)
	if err != nil {
		return runs.Signal{}, err
	}
	return *s, nil
}
