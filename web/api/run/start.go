package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

const (
	// maxWait is the longest that a start may wait for its run.
	maxWait = 5 * time.Minute
	// idempotencyLife is how long an Idempotency-Key is remembered.
	idempotencyLife = 24 * time.Hour
)

type runStart struct {
	ID             workflows.ID `path:"id"`
	Wait           string       `query:"wait" doc:"Wait this long for the end of the run, such as 30s; at most 5m."`
	IdempotencyKey string       `header:"Idempotency-Key" maxLength:"255" doc:"The same key within 24 hours starts one run."`
	Depth          int          `header:"Keyflow-Depth" minimum:"0" doc:"How many workflow starts led to this one; Keyflow sets it on its own requests."`
	rest.JSONBody
}

type runBody struct {
	Input json.RawMessage `json:"input,omitempty"`
}

// startedView is the answer to a start without wait.
type startedView struct {
	ID     string      `json:"id"`
	Status runs.Status `json:"status"`
}

func (h *handlers) startRun(ctx context.Context, who session.Who, in *runStart) (*rest.Answer[any], error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	input, err := runInput(in.RawBody)
	if err != nil {
		return nil, err
	}
	summary, _, err := h.Workflows.Get(ctx, who.Caller, in.ID)
	if err == nil {
		err = who.Caller.Require(identity.Operate, summary.Folder)
	}
	if err != nil {
		return nil, err
	}
	started, err := h.Runs.Start(ctx, engine.Start{
		Workflow: in.ID, Input: input,
		Trigger: runs.TriggerRef{ID: "manual", Type: "manual", FiredAt: h.Now()},
		Dedupe:  dedupe(in.IdempotencyKey, input, h.Now()),
		Depth:   in.Depth,
	})
	if err != nil {
		return nil, err
	}
	if started.Skipped {
		return nil, fault.New(fault.Conflict, "workflow %q is at its limit of runs at once, and its on_limit is skip", in.ID)
	}
	return h.waitFor(ctx, started, wait)
}

// waitFor answers 200 with the finished run, or 202 when it is not final in time.
func (h *handlers) waitFor(ctx context.Context, started engine.Started, wait time.Duration) (*rest.Answer[any], error) {
	if started.Duplicate { // the run of the first start
		run, err := h.Runs.Find(ctx, started.Run)
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Conflict, "the idempotency key was used before, for run %s, which was deleted since", started.Run)
		}
		if err != nil {
			return nil, err
		}
		started.Status = run.Status
	}
	accepted := &rest.Answer[any]{
		Status: http.StatusAccepted, Location: rest.V1 + "/runs/" + started.Run.String(),
		Body: startedView{ID: started.Run.String(), Status: started.Status},
	}
	if wait == 0 {
		return accepted, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	run, err := h.Runs.Wait(waiting, started.Run)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return accepted, nil
	}
	if err != nil {
		return nil, err
	}
	view, err := h.viewRun(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	return &rest.Answer[any]{Status: http.StatusOK, Body: view}, nil
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return 0, rest.BadParameter("wait", "a duration from 0s to 5m is expected, such as 30s")
	}
	return d, nil
}

// runInput takes the input out of the body; no body means no input.
func runInput(raw []byte) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	b, err := rest.Decode[runBody](raw)
	return b.Input, err
}

// dedupe makes a start idempotent. The input is compared by value: white space and the
// order of keys do not matter, and no input is {}.
func dedupe(key string, input json.RawMessage, now time.Time) *runs.DedupeKey {
	if key == "" {
		return nil
	}
	canonical := []byte(input)
	if len(canonical) == 0 {
		canonical = []byte("{}")
	}
	if v, err := jsonvalue.Decode(input); err == nil {
		if encoded, err := jsonvalue.Canonical(v); err == nil {
			canonical = encoded
		}
	}
	hash := sha256.Sum256(canonical)
	return &runs.DedupeKey{
		Kind: "manual", Key: key, ExpiresAt: now.Add(idempotencyLife), InputHash: hex.EncodeToString(hash[:]),
	}
}
