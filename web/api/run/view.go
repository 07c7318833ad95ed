package run

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"keyflow/engine/runs"
	"keyflow/web/rest"
	"keyflow/workflows"
)

// RunSummary is a run as lists show it: without payloads. OpenAPI is made from it; the page repeats
// it by hand in web/ui/src/api/types.ts.
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
	Input       json.RawMessage         `json:"input"`
	Output      json.RawMessage         `json:"output"`
	Steps       []StepView              `json:"steps" nullable:"false" doc:"All steps of a run with at most 200 of them; else the first page of GET /runs/{id}/steps."`
	StepCounts  map[runs.StepStatus]int `json:"step_counts" nullable:"false" doc:"How many steps have each status."`
	StepsCursor *string                 `json:"steps_cursor" doc:"Give it as cursor to GET /runs/{id}/steps to get the next page; null when steps has all."`
}

// ViewSummary shows a run as lists do.
func ViewSummary(r runs.Run) RunSummary {
	v := RunSummary{
		ID: r.ID.String(), Workflow: r.Workflow, Version: r.Version, Folder: r.Folder, Status: r.Status,
		Trigger: runTriggerView{ID: r.Trigger.ID, Type: r.Trigger.Type, ScheduledAt: rest.UTC(r.Trigger.ScheduledAt)},
		Error:   r.Error, CreatedAt: r.CreatedAt.UTC(), StartedAt: rest.UTC(r.StartedAt), FinishedAt: rest.UTC(r.FinishedAt),
	}
	if !r.Trigger.FiredAt.IsZero() {
		v.Trigger.FiredAt = rest.UTC(&r.Trigger.FiredAt)
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

// viewRun reads a run with its steps, or with the first page of them when it has many.
func (h *handlers) viewRun(ctx context.Context, id runs.ID) (runView, error) {
	counts, err := h.Runs.StepCounts(ctx, id)
	if err != nil {
		return runView{}, err
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	if total <= maxSteps {
		run, steps, err := h.Runs.Run(ctx, id)
		if err != nil {
			return runView{}, err
		}
		return viewRun(run, ordered(steps)), nil
	}
	run, err := h.Runs.Find(ctx, id)
	if err != nil {
		return runView{}, err
	}
	steps, err := h.Runs.Steps(ctx, runs.StepFilter{Run: id, Limit: maxSteps})
	if err != nil {
		return runView{}, err
	}
	v := viewRun(run, steps)
	v.StepCounts = counts
	if len(steps) == maxSteps {
		last := stepCursor(steps[maxSteps-1])
		v.StepsCursor = &last
	}
	return v, nil
}

// viewRun shows a run with all its steps.
func viewRun(r runs.Run, steps []runs.Step) runView {
	v := runView{
		RunSummary: ViewSummary(r), Input: WithoutTokens(r.Input), Output: WithoutTokens(r.Output),
		Steps: make([]StepView, len(steps)), StepCounts: make(map[runs.StepStatus]int),
	}
	for i, step := range steps {
		v.Steps[i] = ViewStep(step)
		v.StepCounts[step.Status]++
	}
	return v
}

// ordered keeps the nodes as they come and puts the elements of each behind it, by index.
func ordered(steps []runs.Step) []runs.Step {
	place := make(map[workflows.NodeID]int)
	for _, s := range steps {
		if _, known := place[s.Node]; !known {
			place[s.Node] = len(place)
		}
	}
	return slices.SortedStableFunc(slices.Values(steps), func(a, b runs.Step) int {
		return cmp.Or(cmp.Compare(place[a.Node], place[b.Node]), cmp.Compare(a.Index, b.Index))
	})
}
