// Package values is what the expressions of a run read: its input and trigger, the outputs of
// nodes that have ended, the elements of a for_each; decoded when they are read, and with the
// redacted values that they hold.
//
// It must not know how steps run, or stores.
package values

import (
	"encoding/json"
	"strconv"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
)

// KeepElement notes what a for_each keeps of an element that has ended.
func (v *Scope) KeepElement(node int, row *runs.Step) {
	plan, e := &v.plan.Nodes[node], v.results[node].elements
	switch row.Status {
	case runs.StepSucceeded:
		if plan.IsRead {
			e.put(row.Index, row.Output, row.Sealed)
		}
	case runs.StepFailed:
		if plan.ContinueOnItemError {
			if plan.IsRead {
				e.put(row.Index, FailedElement(row.Error), nil)
			}
			return
		}
		if e.Err == nil {
			first := *row.Error
			first.Message = "element " + strconv.Itoa(row.Index) + ": " + first.Message
			e.Err = &first
		}
	default: // a skipped or canceled element leaves nothing
	}
}

// Sealer seals the outputs of sensitive nodes for their place; *credentials.Vault does. What
// was sealed for one place does not open for another.
type Sealer interface {
	SealOutput(run, node string, index int, output []byte) ([]byte, error)
	OpenOutput(run, node string, index int, sealed []byte) ([]byte, error)
}

// Scope is what the expressions of a run can read. It is not safe for concurrent use: the run
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
