package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// brought is what somebody outside gave a step: a call of its URL, a person's decision, the
// end of the run that it started, or that nobody came in time. It is the data of a SignalStep
// and then of a pending step, until the step's own result is stored.
type brought struct {
	Node   workflows.NodeID `json:"node"`
	Index  int              `json:"index"`
	Output json.RawMessage  `json:"output,omitempty"` // the raw output
	Error  *runs.StepError  `json:"error,omitempty"`
	Late   bool             `json:"late,omitempty"` // nobody came: the node says what that means
}

// signal makes the signal that brings b to a run. All that could end one wait have one id, so
// that exactly one of them does.
func (b *brought) signal(run runs.ID) (*runs.Signal, error) {
	data, err := jsonvalue.Encode(b)
	if err != nil {
		return nil, fmt.Errorf("encode what is brought to a step: %w", err)
	}
	id := uuid.NewSHA1(uuid.UUID(run), fmt.Appendf(nil, "step/%s/%d", b.Node, b.Index))
	return &runs.Signal{Run: run, Kind: runs.SignalStep, Data: data, ID: id, Step: &runs.StepRef{Run: run, Node: b.Node, Index: b.Index}}, nil
}

// Bring gives a step that waits for reason (nodes.CodeWaitsForCallback or CodeWaitsForApproval)
// its raw output, and returns once that is on disk. A callback may come before the step waits;
// it is kept. Faults: NotFound (no such run or node), Conflict (the run or step has ended, does
// not wait for this, or somebody was faster).
func (e *Engine) Bring(ctx context.Context, id runs.ID, node workflows.NodeID, reason string, output any) error {
	if _, err := e.waiting(ctx, id, node, reason); err != nil {
		return err
	}
	raw, err := jsonvalue.Encode(output)
	if err != nil {
		return fmt.Errorf("encode what is brought to a step: %w", err)
	}
	s, err := (&brought{Node: node, Index: runs.NoIndex, Output: raw}).signal(id)
	if err != nil {
		return err
	}
	out, err := e.journal.Write(ctx, runs.Entry{Signal: s})
	if err == nil && out.Duplicate {
		err = errDecided(node)
	}
	if err == nil {
		e.told(id)
	}
	return err
}

// waiting returns the node whose step waits for reason, or will. Faults as those of Bring.
func (e *Engine) waiting(ctx context.Context, id runs.ID, node workflows.NodeID, reason string) (*plan.Node, error) {
	run, err := e.o.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	plan, err := e.starts.PlanOf(ctx, &run)
	if err != nil {
		return nil, err
	}
	n, known := plan.Index[node]
	switch {
	case !known:
		return nil, fault.New(fault.NotFound, "the run has no node %q", node)
	case run.Status.Final():
		return nil, fault.New(fault.Conflict, "the run has ended: it is %s", run.Status)
	}
	steps, err := e.o.Store.StepPage(ctx, runs.StepFilter{Run: id, Node: node, Limit: 1}) // its own step is the first
	if err != nil {
		return nil, err
	}
	return &plan.Nodes[n], takes(&plan.Nodes[n], steps, reason)
}

func errDecided(node workflows.NodeID) error {
	return fault.New(fault.Conflict, "step %q does not wait any more: somebody was faster, or its time is over", node)
}

// takes reports whether the node's step can be brought something now.
func takes(p *plan.Node, steps []runs.Step, reason string) error {
	i := slices.IndexFunc(steps, func(s runs.Step) bool { return s.Node == p.ID && s.Index == runs.NoIndex })
	if i < 0 {
		if reason == nodes.CodeWaitsForCallback && p.Methods != nil {
			return nil // it comes early
		}
		return fault.New(fault.Conflict, "step %q has not begun to wait", p.ID)
	}
	switch s := &steps[i]; {
	case s.Status == runs.StepWaiting && s.Error != nil && s.Error.Code == reason:
		return nil
	case s.Status.Final(), s.Status == runs.StepPending && s.Output != nil:
		return errDecided(p.ID)
	default:
		return fault.New(fault.Conflict, "step %q does not wait for this", p.ID)
	}
}

// told brings a signal that is on disk to its run: to the runner in this process, or by
// claiming a run that nobody owns. Another process finds it with its beat.
func (e *Engine) told(id runs.ID) {
	if e.running(id) != nil {
		e.lookNow()
		return
	}
	go e.claimNow(id)
}

// claimNow claims a run outside the queue: whoever was told something is not to wait for a slot,
// which only steps need. For the same reason a claim that failed is not left to the queue alone.
func (e *Engine) claimNow(id runs.ID) {
	if !e.claim(id, nil) {
		time.AfterFunc(feedEvery, func() { e.claimNow(id) })
	}
}

// bring takes a SignalStep in. It becomes a stored step at once, because the signal is removed
// with the next entry. r.mu is held.
func (r *runner) bring(data []byte) {
	var b brought
	if err := json.Unmarshal(data, &b); err != nil {
		r.engine.o.Logger.Error("a signal of a run cannot be read", "run", r.run.ID, "error", err)
		return
	}
	node, known := r.plan.Index[b.Node]
	key := stepKey{node, b.Index}
	if !known || r.brought[key] != nil || r.state.Ended(node, b.Index) {
		return
	}
	row := runs.Step{Node: b.Node, Index: b.Index, Status: runs.StepPending, Output: data}
	step := r.live[key]
	if step != nil {
		step.into(&row)
		if step.timer != nil {
			step.timer.Stop()
		}
	}
	r.rows = append(r.rows, row)
	r.keepBrought(key, &b)
	if step != nil && step.status == runs.StepWaiting {
		r.happen(state.Event{Kind: state.Due, Node: node, Index: b.Index}, r.tick())
	}
}

func (r *runner) keepBrought(key stepKey, b *brought) {
	if r.brought == nil {
		r.brought = map[stepKey]*brought{}
	}
	r.brought[key] = b
}

// broughtAgain reads back what a pending step was given before a crash. r.mu is held.
func (r *runner) broughtAgain(key stepKey, row *runs.Step) {
	var b brought
	if err := json.Unmarshal(row.Output, &b); err != nil {
		r.engine.o.Logger.Error("what a step was given cannot be read", "run", r.run.ID, "node", row.Node, "error", err)
		return
	}
	r.keepBrought(key, &b)
}

// given is the outcome of a step that was brought something.
func (s *stepRun) given(ctx context.Context) (outcome, *nodes.Error) {
	if failure := s.brought.Error; failure != nil {
		return outcome{}, &nodes.Error{Code: failure.Code, Message: failure.Message}
	}
	v, err := jsonvalue.Decode(s.brought.Output)
	if err != nil {
		return outcome{}, &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: err}
	}
	return s.done(ctx, v)
}

// parked is the outcome of an attempt that asks to wait.
func (s *stepRun) parked(p *nodes.Park) outcome {
	out := outcome{kind: state.Postponed, idle: true, awaits: p.For, err: &nodes.Error{Code: p.For, Message: p.Message}}
	if p.For == "" {
		out.err.Code = nodes.CodeWaitsForTime
	}
	if p.Until.IsZero() {
		out.forever = true
	} else {
		out.wait = max(p.Until.Sub(s.runner.engine.now()), 0)
	}
	return out
}

// late says, by a signal that competes with what it waited for, that a step's time is over.
func (e *Engine) late(run runs.ID, node workflows.NodeID, index int) {
	s, err := (&brought{Node: node, Index: index, Late: true}).signal(run)
	if err == nil {
		err = (<-e.journal.Send(runs.Entry{Signal: s})).Err
	}
	switch {
	case err == nil:
		e.lookNow()
	case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound), e.steps.Err() != nil: // nobody waits any more
	default:
		e.o.Logger.Warn("cannot end the wait of a step; it is tried again", "run", run, "node", node, "error", err)
		time.AfterFunc(feedEvery, func() { e.late(run, node, index) })
	}
}
