package values

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/jsonvalue"
)

// plainElements is the collected output: the elements' outputs in order.
func (v *Scope) plainElements(plan *plan.Node, e *Elements) (any, error) {
	if err := e.whole(); err != nil {
		return nil, err
	}
	out := make([]any, len(e.Outputs))
	for i, raw := range e.Outputs {
		if raw == nil {
			continue
		}
		decoded, err := v.plainOutput(plan, i, raw, e.sealed[i])
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = decoded
	}
	return out, nil
}

// marked decodes the output of a step with its redacted values.
func (v *Scope) marked(node string, index int, output json.RawMessage, sealed []byte) (any, error) {
	decoded, err := jsonvalue.Decode(output)
	if err != nil || len(sealed) == 0 {
		return decoded, err
	}
	if sealed[0] != PlainMarks {
		if v.sealer == nil {
			return nil, errors.New("this process cannot open sealed outputs")
		}
		if sealed, err = v.sealer.OpenOutput(v.run.ID.String(), node, index, sealed); err != nil {
			return nil, err
		}
	}
	var found Marks
	if err := json.Unmarshal(sealed, &found); err != nil {
		return nil, err
	}
	ordinal, next := -1, 0
	return jsonvalue.ReplaceTexts(decoded, func(text any) any {
		ordinal++
		if next == len(found.At) || found.At[next] != ordinal {
			return text
		}
		next++
		if next <= len(found.Texts) && found.Texts[next-1] != nil {
			return jsonvalue.Keep(OutputSource(node), *found.Texts[next-1])
		}
		return jsonvalue.Hide(OutputSource(node))
	}), nil
}

// plainOutput decodes an output as later nodes see it.
func (v *Scope) plainOutput(plan *plan.Node, index int, output json.RawMessage, sealed []byte) (any, error) {
	id := string(plan.ID)
	if !plan.Sensitive || sealed == nil { // an element that failed has nothing sealed
		return v.marked(id, index, output, sealed)
	}
	if v.sealer == nil {
		return jsonvalue.Hide(SensitiveSource(id)), nil
	}
	content, err := v.sealer.OpenOutput(v.run.ID.String(), id, index, sealed)
	if err != nil {
		return nil, err
	}
	return SensitiveOutput(id, content)
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
