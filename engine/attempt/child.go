package attempt

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"keyflow/engine/backoff"
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

// child starts the run that a step asks for.
type child struct{ *Attempt }

// maxChildDepth is how many workflows may start one another by workflow nodes.
const maxChildDepth = 16

// triggerWorkflow is the type of the trigger of a run that another run started.
const triggerWorkflow = "workflow"

// start prepares the run that a step asks for.
func (s child) start(ctx context.Context, want *nodes.Start) (*runs.NewRun, *nodes.Error) {
	parent := s.Run
	if parent.Depth+1 > maxChildDepth {
		return nil, refusedStart("more than %d workflows have started one another in a row; this looks like a loop", maxChildDepth)
	}
	if !s.process.Starts.HasCatalog() {
		return nil, refusedStart("there are no other workflows here")
	}
	id := workflows.ID(want.Workflow)
	n, err := s.process.Starts.Prepare(ctx, id, want.Input, starts.Ask{Depth: parent.Depth + 1, Trigger: runs.TriggerRef{ID: string(s.Node.ID), Type: triggerWorkflow}})
	if n == nil && fault.Is(err, fault.NotFound) || n != nil && !s.mayStart(n.Run.Folder) {
		return nil, s.notStartable(id)
	}
	if err != nil {
		return nil, startError(ctx, id, err)
	}
	if want.Wait {
		n.Run.Parent = &runs.StepRef{Run: parent.ID, Node: s.Node.ID, Index: s.Key.Index}
	}
	if !s.process.Children.Reserve(n.Run.ID, id) {
		return nil, s.queueIsFull()
	}
	s.Reserved = n.Run.ID
	if err := s.childSlots(ctx, n, want.Wait); err != nil {
		return nil, err
	}
	return n, nil
}

// How long a step waits before it tries again to start a run. The wait grows, so that many waiting
// steps do not keep the process busy. It is long enough for the run of the step to be parked.
const (
	firstQueueWait = time.Second
	lastQueueWait  = 30 * time.Second
)

// queueIsFull lets the step wait and try again. It fails once the step has waited for longer than
// its timeout, when it has one.
func (s child) queueIsFull() *nodes.Error {
	now, timeout := s.process.Now(), s.Node.Timeout
	waited := now.Sub(s.ReadyToTry)
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

// mayStart reports whether the step may start a workflow in a folder: below that of its run, or,
// when the definition names the workflow literally, where whoever applied that may start it now.
func (s child) mayStart(folder string) bool {
	return Startable(folder, s.Run.Folder) || s.namesLiterally() && Startable(folder, s.Plan.Definition.StartScope)
}

func (s child) namesLiterally() bool {
	return slices.ContainsFunc(s.Node.Params, func(p plan.Param) bool { return p.Decl.Name == "workflow" && p.Literal })
}

// notStartable is the failure of a step whose workflow does not exist or may not be started. It
// does not say which: the author may not see the workflow.
func (s child) notStartable(id workflows.ID) *nodes.Error {
	run := s.Run
	if !s.namesLiterally() {
		return refusedStart("there is no workflow %q in folder %s or below; to start one in another folder, write its id into the definition", id, run.Folder)
	}
	return refusedStart("there is no workflow %q, or it may not be started by whoever applied version %d of %q: somebody who may start it has to apply the next version",
		id, run.Version, run.Workflow)
}

// Startable reports whether who may start workflows below scope may do so in folder.
func Startable(folder, scope string) bool {
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
func (s *Attempt) started(n *runs.NewRun) Outcome {
	return Outcome{
		Kind: state.Postponed, Wait: Wait{Idle: true, Forever: true, Awaits: nodes.CodeWaitsForWorkflow}, Start: n,
		Output: childOutput(n.Run.ID),
		Err:    &nodes.Error{Code: nodes.CodeWaitsForWorkflow, Message: "waits for run " + n.Run.ID.String() + " of workflow " + string(n.Run.Workflow)},
	}
}

// childOutput is the output of a step that started a run: what the history shows while it
// waits, and the raw output of one that does not wait.
func childOutput(id runs.ID) json.RawMessage {
	return json.RawMessage(`{"run_id":"` + id.String() + `"}`)
}

// childSlots checks the slots of a run that a step starts. How many wait for a slot is not bounded
// for it: its parent may hold the slot that they wait for, and would wait for ever. Of a run that
// the step waits for it notes which groups the waiting ones are in: a run that waited for the slot
// of one that waits for it would wait for ever, and one that cancels the oldest would cancel it,
// and itself with it.
func (s child) childSlots(ctx context.Context, n *runs.NewRun, wait bool) *nodes.Error {
	parent := s.Run
	if wait && len(parent.Groups)+len(parent.Above) > 0 {
		n.Run.Above = slices.Concat(parent.Above, parent.Groups)
	}
	skips := false
	for i := range n.Slots {
		slot := &n.Slots[i]
		if slot.OnLimit != workflows.OnLimitSkip && slices.Contains(n.Run.Above, slot.Group) {
			return refusedStart("workflow %q counts its runs together with this one, which waits for its end and may hold the slot that it needs: give it another concurrency.key, or set with.wait to false", n.Run.Workflow)
		}
		skips = skips || slot.OnLimit == workflows.OnLimitSkip
	}
	if !skips {
		return nil
	}
	return s.startNow(ctx, n)
}

// childKeys is how long the start of a child is remembered, for the step that a crash repeats.
const childKeys = 24 * time.Hour

// startNow stores a child before the result of its step, because its workflow may refuse it. An
// attempt that is repeated after a crash finds the child that it has started. A child that is
// stored is the result of the step, also when the run was stopped meanwhile: the run
// cancels it then.
func (s child) startNow(ctx context.Context, n *runs.NewRun) *nodes.Error {
	n.Dedupe = &runs.DedupeKey{
		Kind: triggerWorkflow, Trigger: string(s.Node.ID), ExpiresAt: s.process.Now().Add(childKeys),
		Key: fmt.Sprintf("%s/%d/%s", s.Run.ID, s.Key.Index, strconv.Itoa(s.Number)),
	}
	out := s.process.Children.Create(n)
	for failures := 1; fault.Is(out.Err, fault.Unavailable) && ctx.Err() == nil; failures++ {
		backoff.Sleep(ctx, backoff.Delay(failures)) // nothing was stored, and the run is not to blame
		out = s.process.Children.Create(n)
	}
	switch {
	case out.Err == nil:
	case fault.Is(out.Err, fault.Conflict):
		return &nodes.Error{Code: nodes.CodeConcurrencyLimit, Message: fmt.Sprintf("workflow %q was not started: %s", n.Run.Workflow, fault.Message(out.Err))}
	case ctx.Err() != nil:
		return values.ContextError(ctx)
	default:
		return &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: out.Err}
	}
	n.Run.ID = out.Run // of the first time
	if out.Waits {     // for a slot, and not in the queue
		s.process.Children.Unreserve(s.Reserved)
	}
	return nil
}
