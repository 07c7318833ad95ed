package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
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
	WorkflowPath
	Wait           string `query:"wait" doc:"Wait this long for the end of the run, such as 30s; at most 5m."`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"The same key within 24 hours starts one run."`
	Depth          int    `header:"Keyflow-Depth" minimum:"0" doc:"How many workflow starts led to this one; Keyflow sets it on its own requests."`
	JSONBody
}

type runBody struct {
	Input json.RawMessage `json:"input,omitempty"`
}

// RunPath is the input of operations on one run.
type RunPath struct {
	ID string `path:"id"`
}

type runList struct {
	Paging
	Workflow string      `query:"workflow"`
	Status   runs.Status `query:"status" enum:"queued,running,waiting,succeeded,failed,canceled"`
	Folder   string      `query:"folder" doc:"This folder and below."`
	Trigger  string      `query:"trigger" doc:"The id of the trigger, or manual."`
	Since    time.Time   `query:"since" doc:"Created at this time or later, RFC 3339."`
	Until    time.Time   `query:"until" doc:"Created before this time, RFC 3339."`
}

// startedView is the answer to a start that nobody waited for.
type startedView struct {
	ID     string      `json:"id"`
	Status runs.Status `json:"status"`
}

// RunSummary is a run as lists show it: without payloads.
type RunSummary struct {
	ID         string         `json:"id"`
	Workflow   workflows.ID   `json:"workflow"`
	Version    int            `json:"version"`
	Folder     string         `json:"folder"`
	Status     runs.Status    `json:"status"`
	WaitingFor string         `json:"waiting_for,omitempty" enum:"slot" doc:"Of a queued run: slot while as many runs go on as the workflow's concurrency or the trigger's overlap allows."`
	Trigger    runTriggerView `json:"trigger"`
	Error      *runs.RunError `json:"error"`
	RetryOf    *string        `json:"retry_of,omitempty"`
	Parent     *parentView    `json:"parent,omitempty" doc:"The step that started the run and waits for its end; not in lists."`
	CreatedAt  time.Time      `json:"created_at"`
	StartedAt  *time.Time     `json:"started_at"`
	FinishedAt *time.Time     `json:"finished_at"`
}

type parentView struct {
	Run   string           `json:"run"`
	Node  workflows.NodeID `json:"node"`
	Index *int             `json:"index,omitempty"`
}

type runTriggerView struct {
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	FiredAt     *time.Time `json:"fired_at,omitempty"`
	ScheduledAt *time.Time `json:"scheduled_at,omitempty"`
}

type runView struct {
	RunSummary
	Input       rawJSON                 `json:"input"`
	Output      rawJSON                 `json:"output"`
	Steps       []stepView              `json:"steps" nullable:"false" doc:"All steps of a run with at most 200 of them; else the first page of GET /runs/{id}/steps."`
	StepCounts  map[runs.StepStatus]int `json:"step_counts" nullable:"false" doc:"How many steps have each status."`
	StepsCursor *string                 `json:"steps_cursor" doc:"Give it as cursor to GET /runs/{id}/steps to get the next page; null when steps holds all."`
}

func (s *server) startRun(ctx context.Context, who session.Who, in *runStart) (*answer[any], error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	input, err := runInput(in.RawBody)
	if err != nil {
		return nil, err
	}
	summary, _, err := s.workflows.Get(ctx, who.Caller, in.ID)
	if err == nil {
		err = who.Caller.Require(identity.Operate, summary.Folder)
	}
	if err != nil {
		return nil, err
	}
	started, err := s.runs.Start(ctx, engine.Start{
		Workflow: in.ID, Input: input,
		Trigger: runs.TriggerRef{ID: "manual", Type: "manual", FiredAt: s.now()},
		Dedupe:  dedupe(in.IdempotencyKey, input, s.now()),
		Depth:   in.Depth,
	})
	if err != nil {
		return nil, err
	}
	if started.Skipped {
		return nil, fault.New(fault.Conflict, "workflow %q is at its limit of runs at once, and its on_limit is skip", in.ID)
	}
	return s.waitFor(ctx, started, wait)
}

// waitFor answers 200 with the finished run, or 202 when it is not final in time.
func (s *server) waitFor(ctx context.Context, started engine.Started, wait time.Duration) (*answer[any], error) {
	if started.Duplicate { // the first start's run, whatever has become of it
		run, err := s.runs.Find(ctx, started.Run)
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Conflict, "the idempotency key was used before, for run %s, which was deleted since", started.Run)
		}
		if err != nil {
			return nil, err
		}
		started.Status = run.Status
	}
	accepted := &answer[any]{
		Status: http.StatusAccepted, Location: v1 + "/runs/" + started.Run.String(),
		Body: startedView{ID: started.Run.String(), Status: started.Status},
	}
	if wait == 0 {
		return accepted, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	run, err := s.runs.Wait(waiting, started.Run)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return accepted, nil
	}
	if err != nil {
		return nil, err
	}
	view, err := s.viewRun(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	return &answer[any]{Status: http.StatusOK, Body: view}, nil
}

func (s *server) listRuns(ctx context.Context, who session.Who, in *runList) (*answer[page[RunSummary]], error) {
	f := runs.Filter{
		Workflow: workflows.ID(in.Workflow), Status: in.Status, Folder: in.Folder, Trigger: in.Trigger,
		Since: in.Since, Until: in.Until, Limit: in.fetch(),
	}
	if f.Folder == "" {
		f.Folder = who.Caller.Folder
	}
	if err := who.Caller.Require(identity.View, f.Folder); err != nil {
		return nil, err
	}
	if in.Cursor != "" && f.Before.UnmarshalText([]byte(in.Cursor)) != nil {
		return nil, badParameter("cursor", "use next_cursor of the page before")
	}
	all, err := s.runs.Runs(ctx, f)
	if err != nil {
		return nil, err
	}
	return pageOf(all, in.Limit, viewRunSummary, func(r runs.Run) string { return r.ID.String() }), nil
}

func (s *server) getRun(ctx context.Context, who session.Who, in *RunPath) (*answer[runView], error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.View, in.ID)
	if err != nil {
		return nil, err
	}
	view, err := s.viewRun(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	return ok(view), nil
}

func (s *server) cancelRun(ctx context.Context, who session.Who, in *RunPath) (*answer[startedView], error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.Operate, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.runs.Cancel(ctx, run.ID); err != nil {
		return nil, err
	}
	return &answer[startedView]{Status: http.StatusAccepted, Body: startedView{run.ID.String(), run.Status}}, nil
}

type runRetryOf struct {
	RunPath
	JSONBody
}

// runRetry says from where a run is started again.
type runRetry struct {
	From    string `json:"from,omitempty" enum:"failed,start" doc:"failed (default) keeps the results of the steps that succeeded."`
	Version string `json:"version,omitempty" enum:"same,newest" doc:"Of the workflow; newest only with start."`
}

// retriedView is the answer to a retry.
type retriedView struct {
	startedView
	RetryOf string `json:"retry_of"`
}

func (s *server) retryRun(ctx context.Context, who session.Who, in *runRetryOf) (*answer[retriedView], error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.Operate, in.ID)
	if err != nil {
		return nil, err
	}
	var body runRetry
	if len(in.RawBody) > 0 {
		if body, err = decode[runRetry](in.RawBody); err != nil {
			return nil, err
		}
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	started, err := s.runs.Retry(ctx, engine.Retry{Run: run.ID, FromStart: body.From == "start", Newest: body.Version == "newest"})
	if err != nil {
		return nil, err
	}
	id := started.Run.String()
	return &answer[retriedView]{
		Status: http.StatusAccepted, Location: v1 + "/runs/" + id,
		Body: retriedView{startedView{id, started.Status}, run.ID.String()},
	}, nil
}

func (b runRetry) check() error {
	var wrong []fault.Problem
	if !slices.Contains([]string{"", "failed", "start"}, b.From) {
		wrong = append(wrong, fault.Problem{Path: "/from", Code: "invalid_value", Message: "must be failed or start"})
	}
	switch {
	case !slices.Contains([]string{"", "same", "newest"}, b.Version):
		wrong = append(wrong, fault.Problem{Path: "/version", Code: "invalid_value", Message: "must be same or newest"})
	case b.Version == "newest" && b.From != "start":
		wrong = append(wrong, fault.Problem{Path: "/version", Code: "invalid_value", Message: "newest needs from: start, because steps of one version do not fit another"})
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Problems("the retry is not valid", wrong)
}

func (s *server) deleteRun(ctx context.Context, who session.Who, in *RunPath) (*empty, error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.EditWorkflows, in.ID)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.runs.Delete(ctx, run.ID)
}

// visibleRun loads a run and requires the right in its folder. A run that the caller may
// not see does not exist for that caller.
func (s *server) visibleRun(ctx context.Context, caller identity.Caller, right identity.Right, text string) (runs.Run, error) {
	missing := fault.New(fault.NotFound, "this run does not exist")
	var id runs.ID
	if id.UnmarshalText([]byte(text)) != nil {
		return runs.Run{}, missing
	}
	run, err := s.runs.Find(ctx, id)
	if err != nil {
		return runs.Run{}, err
	}
	if !caller.May(identity.View, run.Folder) {
		return runs.Run{}, missing
	}
	return run, caller.Require(right, run.Folder)
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return 0, badParameter("wait", "a duration from 0s to 5m is expected, such as 30s")
	}
	return d, nil
}

// runInput takes the input out of the body; no body means no input.
func runInput(raw []byte) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	b, err := decode[runBody](raw)
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

func badParameter(name, message string) error {
	return fault.Problems(name+": "+message, []fault.Problem{{Path: "?" + name, Code: "invalid_parameter", Message: message}})
}

func viewRunSummary(r runs.Run) RunSummary {
	v := RunSummary{
		ID: r.ID.String(), Workflow: r.Workflow, Version: r.Version, Folder: r.Folder, Status: r.Status,
		Trigger: runTriggerView{ID: r.Trigger.ID, Type: r.Trigger.Type, ScheduledAt: utc(r.Trigger.ScheduledAt)},
		Error:   r.Error, CreatedAt: r.CreatedAt.UTC(), StartedAt: utc(r.StartedAt), FinishedAt: utc(r.FinishedAt),
	}
	if !r.Trigger.FiredAt.IsZero() {
		v.Trigger.FiredAt = utc(&r.Trigger.FiredAt)
	}
	if r.WaitsForSlot {
		v.WaitingFor = "slot"
	}
	if r.RetryOf != nil {
		of := r.RetryOf.String()
		v.RetryOf = &of
	}
	if p := r.Parent; p != nil {
		v.Parent = &parentView{Run: p.Run.String(), Node: p.Node}
		if p.Index != runs.NoIndex {
			v.Parent.Index = &p.Index
		}
	}
	return v
}
