// Package values is what the expressions of a run read: its input and trigger, the outputs of
// nodes that have ended, the elements of a for_each; decoded when they are read, and with the
// redacted values that they hold.
//
// It must not know how steps run, or stores.
package values

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/jsonvalue"
)

// Sealer seals the outputs of sensitive nodes for their place; *credentials.Vault does. What
// was sealed for one place does not open for another.
type Sealer interface {
	SealOutput(run, node string, index int, output []byte) ([]byte, error)
	OpenOutput(run, node string, index int, sealed []byte) ([]byte, error)
}

// Scope is what the expressions of a run can read. It is not safe for concurrent use: a runner
// guards its scope with its own mutex.
type Scope struct {
	plan    *plan.Plan
	run     *runs.Run
	sealer  Sealer // nil: sealed outputs cannot be opened
	results []result

	input   decoded
	trigger decoded
	runVar  any
}

// New returns the scope of a run of which no node has ended.
func New(of *plan.Plan, run *runs.Run, sealer Sealer) *Scope {
	return &Scope{plan: of, run: run, sealer: sealer, results: make([]result, len(of.Nodes))}
}

// result is what dependents see of a node.
type result struct {
	status   runs.StepStatus
	output   json.RawMessage // of a succeeded step; nil for one with elements
	sealed   []byte          // of a sensitive node, or the marks of redacted values
	err      *runs.StepError
	finished time.Time

	elements *Elements // of a for_each at work and after it
	data     decoded   // the output as plain data, once somebody has asked for it
}

// Keep notes what dependents see of a node that has ended.
func (v *Scope) Keep(node int, row *runs.Step) {
	n := &v.results[node]
	n.status, n.err, n.finished = row.Status, row.Error, *row.FinishedAt
	if v.plan.Nodes[node].IsRead {
		n.output, n.sealed = row.Output, row.Sealed
	}
	if n.elements != nil {
		n.elements.Items, n.elements.keys = nil, nil
	}
}

// KeepValue notes the output of a node that has ended as plain data; size is that of its JSON.
func (v *Scope) KeepValue(node, size int, value any) {
	if v.plan.Nodes[node].IsRead {
		v.results[node].data.set(size, value)
	}
}

// Expand notes what the for_each of a node goes through.
func (v *Scope) Expand(node int, e *Elements, at time.Time) {
	e.Started = at
	v.results[node].elements = e
}

// Elements returns those of a node whose for_each was expanded, else nil.
func (v *Scope) Elements(node int) *Elements { return v.results[node].elements }

// Failed lists the nodes that have failed, by number.
func (v *Scope) Failed() []int {
	var failed []int
	for n := range v.results {
		if v.results[n].status == runs.StepFailed {
			failed = append(failed, n)
		}
	}
	return failed
}

// plain returns the output of a node as plain data.
func (v *Scope) plain(node int, use *Reading) (any, error) {
	n, plan := &v.results[node], &v.plan.Nodes[node]
	if n.status != runs.StepSucceeded {
		return nil, nil
	}
	size := len(n.output)
	if n.elements != nil {
		size = n.elements.kept
	}
	return n.data.get(size, use, func() (any, error) {
		switch {
		case n.elements != nil:
			return v.plainElements(plan, n.elements)
		case n.output != nil:
			return v.plainOutput(plan, runs.NoIndex, n.output, n.sealed)
		default:
			return nil, nil
		}
	})
}

// Vars returns what the expressions of a node (or of the run's output) may read.
func (v *Scope) Vars(reads *plan.Reads) (Reading, error) {
	var use Reading
	if !reads.Any && !reads.Item {
		return use, nil
	}
	vars := make(map[string]any)
	use.Vars = vars
	vars["vars"] = v.plan.Vars
	if reads.Run {
		vars["run"] = v.runVars()
	}
	var err error
	if reads.Input {
		vars["input"], err = v.input.get(len(v.run.Input), &use, func() (any, error) { return jsonvalue.Decode(v.run.Input) })
		if err != nil {
			return use, fmt.Errorf("input: %w", err)
		}
	}
	if reads.Trigger {
		t := &v.run.Trigger
		vars["trigger"], err = v.trigger.get(len(t.Request)+len(t.Event), &use, func() (any, error) { return triggerValue(t) })
		if err != nil {
			return use, fmt.Errorf("trigger: %w", err)
		}
	}
	if len(reads.Nodes) > 0 {
		seen := make(map[string]any, len(reads.Nodes))
		for _, n := range reads.Nodes {
			result := &v.results[n]
			output, err := v.plain(n, &use)
			if err != nil {
				return use, fmt.Errorf("output of %s: %w", v.plan.Nodes[n].ID, err)
			}
			seen[string(v.plan.Nodes[n].ID)] = map[string]any{
				"status": string(result.status), "output": output, "error": nodeErrorValue(&v.plan.Nodes[n], result.err),
			}
		}
		vars["nodes"] = seen
	}
	return use, nil
}

func (v *Scope) runVars() any {
	if v.runVar == nil {
		v.runVar = map[string]any{
			"id": v.run.ID.String(), "workflow": string(v.run.Workflow), "version": v.run.Version,
			"started_at": textTime(v.run.StartedAt),
		}
	}
	return v.runVar
}

// ReadyAt is now() of a node: when its last need ended, or the run's start.
func (v *Scope) ReadyAt(plan *plan.Node) time.Time {
	at := *v.run.StartedAt
	for _, need := range plan.Needs {
		if end := v.results[need].finished; end.After(at) {
			at = end
		}
	}
	return at
}

// SealedOutputs are the sealed outputs of nodes that have ended.
func (v *Scope) SealedOutputs(of []int) map[int]any {
	if len(of) == 0 {
		return nil
	}
	out := make(map[int]any, len(of))
	for _, n := range of {
		switch result := &v.results[n]; {
		case result.status != runs.StepSucceeded:
		case result.elements != nil:
			out[n] = slices.Clone(result.elements.sealed)
		case result.sealed != nil:
			out[n] = result.sealed
		}
	}
	return out
}
