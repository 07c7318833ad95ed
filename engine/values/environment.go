package values

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
)

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

// ErrorValue is a step's error as expressions see it.
func ErrorValue(err *runs.StepError) any {
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
	v, ok := ErrorValue(err).(map[string]any)
	if !ok {
		return nil
	}
	v["response"] = markResponse(v["response"], string(p.ID), p.Sensitive)
	return v
}

// Environment makes now() and uuid() deterministic (docs/explanation/architecture.md): now is a
// stored instant, uuid is version 5 of the run, the place and how many there were before.
func Environment(id runs.ID, place string, now time.Time, vars map[string]any) expression.Env {
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
