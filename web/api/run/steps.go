package run

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

// maxSteps is how many steps a run may have to be answered with all of them, and the length of
// the first page of one that has more.
const maxSteps = 200

type stepList struct {
	RunPath
	rest.Paging
	Node   string          `query:"node" maxLength:"63" doc:"Only this node: its own step and the elements of its for_each."`
	Status runs.StepStatus `query:"status" enum:"pending,running,waiting,succeeded,failed,skipped,canceled"`
}

// StepView is a step as the API and the event stream show it.
type StepView struct {
	Node       workflows.NodeID `json:"node"`
	Index      *int             `json:"index" doc:"Of the element with for_each; null for the step itself."`
	Status     runs.StepStatus  `json:"status"`
	Attempt    int              `json:"attempt" doc:"The number of attempts."`
	StartedAt  *time.Time       `json:"started_at"`
	FinishedAt *time.Time       `json:"finished_at"`
	DueAt      *time.Time       `json:"due_at,omitempty" doc:"Of a waiting step: when it continues."`
	WaitsFor   credentials.ID   `json:"waits_for,omitempty" doc:"Of a waiting step: the credential that must be connected."`
	Request    *runs.Request    `json:"request" doc:"The last HTTP request."`
	Output     json.RawMessage  `json:"output"`
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
func (h *handlers) listSteps(ctx context.Context, who session.Who, in *stepList) (*rest.Answer[rest.Page[StepView]], error) {
	run, err := h.access.Visible(ctx, who.Caller, identity.View, in.ID)
	if err != nil {
		return nil, err
	}
	f := runs.StepFilter{Run: run.ID, Node: workflows.NodeID(in.Node), Status: in.Status, Limit: in.Fetch()}
	if in.Cursor != "" {
		if f.After, err = placeOf(in.Cursor); err != nil {
			return nil, err
		}
	}
	steps, err := h.Runs.Steps(ctx, f)
	if err != nil {
		return nil, err
	}
	return rest.PageOf(steps, in.Limit, ViewStep, stepCursor), nil
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
		return at, rest.BadParameter("cursor", "use next_cursor of the page before")
	}
	return at, nil
}

// ViewStep shows a step without the tokens of callback URLs.
func ViewStep(s runs.Step) StepView {
	v := StepView{
		Node: s.Node, Status: s.Status, Attempt: len(s.Attempts), StartedAt: rest.UTC(s.StartedAt),
		FinishedAt: rest.UTC(s.FinishedAt), DueAt: rest.UTC(s.DueAt), WaitsFor: s.NeedsConnect, Output: WithoutTokens(s.Output), Error: withoutTokensIn(s.Error),
		Attempts: rest.OrEmpty(s.Attempts), Calls: make([]callView, len(s.Calls)),
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
