package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// nodeResult is what dependents see of a node.
type nodeResult struct {
	status   runs.StepStatus
	output   json.RawMessage // of a succeeded step; nil for one with elements
	sealed   []byte          // of a sensitive node, or the marks of redacted values
	err      *runs.StepError
	finished time.Time

	elements *elements // of a for_each at work and after it
	data     decoded   // the output as plain data, once somebody has asked for it
}

// plain returns the output of a node as plain data.
func (r *runner) plain(node int, use *reading) (any, error) {
	n, plan := &r.results[node], &r.plan.Nodes[node]
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
			return r.plainElements(plan, n.elements)
		case n.output != nil:
			return r.plainOutput(plan, runs.NoIndex, n.output, n.sealed)
		default:
			return nil, nil
		}
	})
}

// vars returns what the expressions of a node (or of the run's output) may read. r.mu is held.
func (r *runner) vars(reads *plan.Reads) (reading, error) {
	var use reading
	if !reads.Any && !reads.Item {
		return use, nil
	}
	vars := make(map[string]any)
	use.vars = vars
	vars["vars"] = r.plan.Vars
	if reads.Run {
		vars["run"] = r.runVars()
	}
	var err error
	if reads.Input {
		vars["input"], err = r.input.get(len(r.run.Input), &use, func() (any, error) { return jsonvalue.Decode(r.run.Input) })
		if err != nil {
			return use, fmt.Errorf("input: %w", err)
		}
	}
	if reads.Trigger {
		t := &r.run.Trigger
		vars["trigger"], err = r.trigger.get(len(t.Request)+len(t.Event), &use, func() (any, error) { return triggerValue(t) })
		if err != nil {
			return use, fmt.Errorf("trigger: %w", err)
		}
	}
	if len(reads.Nodes) > 0 {
		seen := make(map[string]any, len(reads.Nodes))
		for _, n := range reads.Nodes {
			result := &r.results[n]
			output, err := r.plain(n, &use)
			if err != nil {
				return use, fmt.Errorf("output of %s: %w", r.plan.Nodes[n].ID, err)
			}
			seen[string(r.plan.Nodes[n].ID)] = map[string]any{
				"status": string(result.status), "output": output, "error": nodeErrorValue(&r.plan.Nodes[n], result.err),
			}
		}
		vars["nodes"] = seen
	}
	return use, nil
}

func (r *runner) runVars() any {
	if r.runVar == nil {
		r.runVar = map[string]any{
			"id": r.run.ID.String(), "workflow": string(r.run.Workflow), "version": r.run.Version,
			"started_at": textTime(r.run.StartedAt),
		}
	}
	return r.runVar
}

// triggerValue is the trigger as expressions see it.
func triggerValue(t *runs.TriggerRef) (any, error) {
	v := map[string]any{
		"id": t.ID, "type": t.Type, "fired_at": textTime(&t.FiredAt), "scheduled_at": textTime(t.ScheduledAt),
		"request": nil, "event": nil,
	}
	for name, raw := range map[string]json.RawMessage{"request": t.Request, "event": t.Event} {
		if raw == nil {
			continue
		}
		decoded, err := jsonvalue.Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if name == "request" {
			decoded = markRequest(decoded)
		}
		v[name] = decoded
	}
	return v, nil
}

// textTime is a time as expressions see it, null when there is none.
func textTime(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// errorValue is a step's error as expressions see it.
func errorValue(err *runs.StepError) any {
	if err == nil {
		return nil
	}
	v := map[string]any{"code": err.Code, "message": err.Message, "attempt": err.Attempt, "response": nil}
	if err.Response != nil {
		if response, decodeErr := jsonvalue.Decode(err.Response); decodeErr == nil {
			v["response"] = response
		}
	}
	return v
}

// errorValue is the error of a node as later ones see it.
func nodeErrorValue(p *plan.Node, err *runs.StepError) any {
	v, ok := errorValue(err).(map[string]any)
	if !ok {
		return nil
	}
	v["response"] = markResponse(v["response"], string(p.ID), p.Sensitive)
	return v
}

// env is what one expression or template of a step reads. site names its place in the node:
// uuid() gives the same values again when the same place of the same step is evaluated
// again, after a crash and in a retry. extra are further names and their values, in pairs.
func (s *stepRun) env(site string, extra ...any) expression.Env {
	vars, err := s.variables()
	if err != nil { // it was decoded before
		s.Log().Error("what a step reads cannot be read again", "error", err)
	}
	if len(extra) > 0 {
		vars = maps.Clone(vars)
		if vars == nil {
			vars = make(map[string]any, len(extra)/2)
		}
		for pair := range slices.Chunk(extra, 2) {
			vars[pair[0].(string)] = pair[1]
		}
	}
	env := environment(s.runner.run.ID, s.name+"/"+site, s.readyAt, vars)
	env.CallbackURL = func(node string) (string, error) { return s.runner.engine.callbackURL(s.runner, node) }
	return env
}

// environment makes now() and uuid() deterministic (docs/explanation/architecture.md): now is a stored
// instant, uuid is version 5 of the run, the place and how many there were before.
func environment(id runs.ID, place string, now time.Time, vars map[string]any) expression.Env {
	ordinal := 0
	return expression.Env{
		Vars: vars,
		Now:  func() time.Time { return now },
		UUID: func() string {
			ordinal++
			return uuid.NewSHA1(uuid.UUID(id), []byte(place+"/"+strconv.Itoa(ordinal))).String()
		},
	}
}

// expressionError turns a failed evaluation into the step's error; where names the field.
// An evaluation that the context ended has that error's code.
func expressionError(ctx context.Context, where string, err error) *nodes.Error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	out := &nodes.Error{Code: nodes.CodeExpression, Message: where + ": the value cannot be computed", Err: err}
	if e, ok := errors.AsType[*expression.Error](err); ok {
		out.Message = where + pointerPath(e.Path) + ": " + e.Message
	}
	return out
}

// pointerPath writes a JSON pointer as people write a path: /a/0 is .a.0.
func pointerPath(pointer string) string {
	b := []byte(pointer)
	for i := range b {
		if b[i] == '/' {
			b[i] = '.'
		}
	}
	return string(b)
}

// elements are what a for_each goes through, and what came of it.
type elements struct {
	items   []any
	keys    []string          // of a map, sorted; nil for a list
	outputs []json.RawMessage // one per element; nil while it has none
	sealed  [][]byte          // likewise, of a sensitive node
	kept    int               // bytes of all outputs, sealed ones too, also when they were let go
	err     *runs.StepError   // of the first element that failed
	started time.Time
}

// MaxElements bounds a for_each.
const MaxElements = 100_000

// newElements spreads the value of for_each: a list in its order, a map in key order.
func newElements(v any) (*elements, *nodes.Error) {
	e := &elements{}
	switch v := v.(type) {
	case []any:
		e.items = v
	case map[string]any:
		e.keys = slices.Sorted(maps.Keys(v))
		e.items = make([]any, len(e.keys))
		for i, k := range e.keys {
			e.items[i] = v[k]
		}
	default:
		return nil, &nodes.Error{Code: nodes.CodeExpression, Message: "for_each gave " + plan.TypeName(v) + ", not a list or an object"}
	}
	if len(e.items) > MaxElements {
		return nil, &nodes.Error{Code: nodes.CodeTooLarge, Message: fmt.Sprintf("for_each gave %d elements; at most %d are allowed", len(e.items), MaxElements)}
	}
	e.outputs, e.sealed = make([]json.RawMessage, len(e.items)), make([][]byte, len(e.items))
	return e, nil
}

// at returns the item and the key (null in a list) of an element.
func (e *elements) at(i int) (item, key any) {
	if e.keys != nil {
		key = e.keys[i]
	}
	return e.items[i], key
}

// plainElements is the collected output: the elements' outputs in order.
func (r *runner) plainElements(plan *plan.Node, e *elements) (any, error) {
	if err := e.whole(); err != nil {
		return nil, err
	}
	out := make([]any, len(e.outputs))
	for i, raw := range e.outputs {
		if raw == nil {
			continue
		}
		v, err := r.plainOutput(plan, i, raw, e.sealed[i])
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = v
	}
	return out, nil
}

// failedElement is the output of an element that failed under on_item_error: continue.
func failedElement(err *runs.StepError) json.RawMessage {
	raw, encodeErr := jsonvalue.EncodeShown(map[string]any{"error": errorValue(err)})
	if encodeErr != nil { // plain data from a decoder; it cannot hold what JSON cannot
		return json.RawMessage(`{"error":null}`)
	}
	return raw
}
