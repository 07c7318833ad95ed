package web

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/identity"
	"keyflow/web/session"
	"keyflow/workflows"
)

// maxSteps is how many steps a run may have to be answered with all of them, and the length of
// the first page of one that has more.
const maxSteps = 200

type stepList struct {
	RunPath
	Paging
	Node   string          `query:"node" maxLength:"63" doc:"Only this node: its own step and the elements of its for_each."`
	Status runs.StepStatus `query:"status" enum:"pending,running,waiting,succeeded,failed,skipped,canceled"`
}

type stepView struct {
	Node       workflows.NodeID `json:"node"`
	Index      *int             `json:"index" doc:"Of the element with for_each; null for the step itself."`
	Status     runs.StepStatus  `json:"status"`
	Attempt    int              `json:"attempt" doc:"How many attempts were made."`
	StartedAt  *time.Time       `json:"started_at"`
	FinishedAt *time.Time       `json:"finished_at"`
	DueAt      *time.Time       `json:"due_at,omitempty" doc:"Of a waiting step: when it goes on."`
	WaitsFor   credentials.ID   `json:"waits_for,omitempty" doc:"Of a waiting step: the credential that somebody must connect."`
	Request    *runs.Request    `json:"request" doc:"The last HTTP request."`
	Output     rawJSON          `json:"output"`
	Error      *runs.StepError  `json:"error"`
	Attempts   []runs.Attempt   `json:"attempts" nullable:"false"`
	Calls      []callView       `json:"calls" nullable:"false" doc:"Every use of a credential."`
}

type callView struct {
	Credential  credentials.ID `json:"credential"`
	Version     int            `json:"version"`
	Fingerprint string         `json:"fingerprint"`
	Host        string         `json:"host"`
	Method      string         `json:"method"`
	URL         string         `json:"url"`
	Status      int            `json:"status"`
	DurationMS  int64          `json:"duration_ms"`
}

// listSteps answers a page of a run's steps: first those of nodes, then the elements of for_each,
// each by node and then by index.
func (s *server) listSteps(ctx context.Context, who session.Who, in *stepList) (*answer[page[stepView]], error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.View, in.ID)
	if err != nil {
		return nil, err
	}
	f := runs.StepFilter{Run: run.ID, Node: workflows.NodeID(in.Node), Status: in.Status, Limit: in.fetch()}
	if in.Cursor != "" {
		if f.After, err = placeOf(in.Cursor); err != nil {
			return nil, err
		}
	}
	steps, err := s.runs.Steps(ctx, f)
	if err != nil {
		return nil, err
	}
	return pageOf(steps, in.Limit, viewStep, stepCursor), nil
}

// stepCursor is the place of a step: its node, with the index behind a dot when it is an element.
func stepCursor(s runs.Step) string {
	if s.Index == runs.NoIndex {
		return string(s.Node)
	}
	return string(s.Node) + "." + strconv.Itoa(s.Index)
}

func placeOf(cursor string) (runs.StepPlace, error) {
	node, index, element := strings.Cut(cursor, ".")
	at := runs.StepPlace{Node: workflows.NodeID(node), Index: runs.NoIndex}
	var err error
	if element {
		at.Index, err = strconv.Atoi(index)
	}
	if err != nil || node == "" || element && at.Index < 0 {
		return at, badParameter("cursor", "use next_cursor of the page before")
	}
	return at, nil
}

// viewRun reads a run with its steps, or with the first page of them when it has many.
func (s *server) viewRun(ctx context.Context, id runs.ID) (runView, error) {
	counts, err := s.runs.StepCounts(ctx, id)
	if err != nil {
		return runView{}, err
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	if total <= maxSteps {
		run, steps, err := s.runs.Run(ctx, id)
		if err != nil {
			return runView{}, err
		}
		return viewRun(run, ordered(steps)), nil
	}
	run, err := s.runs.Find(ctx, id)
	if err != nil {
		return runView{}, err
	}
	steps, err := s.runs.Steps(ctx, runs.StepFilter{Run: id, Limit: maxSteps})
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
		RunSummary: viewRunSummary(r), Input: withoutTokens(r.Input), Output: withoutTokens(r.Output),
		Steps: make([]stepView, len(steps)), StepCounts: make(map[runs.StepStatus]int),
	}
	for i, step := range steps {
		v.Steps[i] = viewStep(step)
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

func viewStep(s runs.Step) stepView {
	v := stepView{
		Node: s.Node, Status: s.Status, Attempt: len(s.Attempts), StartedAt: utc(s.StartedAt),
		FinishedAt: utc(s.FinishedAt), DueAt: utc(s.DueAt), WaitsFor: s.NeedsConnect, Output: withoutTokens(s.Output), Error: withoutTokensIn(s.Error),
		Attempts: orEmpty(s.Attempts), Calls: make([]callView, len(s.Calls)),
	}
	if s.Index != runs.NoIndex {
		v.Index = &s.Index
	}
	if n := len(s.Attempts); n > 0 {
		v.Request = s.Attempts[n-1].Request
	}
	for i, c := range s.Calls {
		v.Calls[i] = callView{
			Credential: c.Credential, Version: c.Version, Fingerprint: c.Fingerprint, Host: c.Host,
			Method: c.Method, URL: c.URL, Status: c.Status, DurationMS: c.Duration.Milliseconds(),
		}
	}
	return v
}
