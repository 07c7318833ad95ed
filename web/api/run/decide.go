package run

import (
	"context"
	"time"

	"keyflow/internal/identity"
	"keyflow/nodes"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

// StepPath is the input of operations on one step of a run.
type StepPath struct {
	RunPath
	Node string `path:"node"`
}

type decisionWrite struct {
	StepPath
	rest.JSONBody
}

type decisionBody struct {
	Comment string `json:"comment,omitempty"`
}

// decisionView is a person's decision: the output of the approval node.
type decisionView struct {
	Approved bool      `json:"approved"`
	By       string    `json:"by"`
	Comment  string    `json:"comment"`
	At       time.Time `json:"at"`
}

func (h *handlers) approveStep(ctx context.Context, who session.Who, in *decisionWrite) (*rest.Answer[decisionView], error) {
	return h.decide(ctx, who, in, true)
}

func (h *handlers) rejectStep(ctx context.Context, who session.Who, in *decisionWrite) (*rest.Answer[decisionView], error) {
	return h.decide(ctx, who, in, false)
}

func (h *handlers) decide(ctx context.Context, who session.Who, in *decisionWrite, approved bool) (*rest.Answer[decisionView], error) {
	run, err := h.access.Visible(ctx, who.Caller, identity.Operate, in.ID)
	if err != nil {
		return nil, err
	}
	var body decisionBody
	if len(in.RawBody) > 0 {
		if body, err = rest.Decode[decisionBody](in.RawBody); err != nil {
			return nil, err
		}
	}
	d := decisionView{Approved: approved, By: who.Caller.Name, Comment: body.Comment, At: h.Now().UTC()}
	err = h.Runs.Deliver(ctx, run.ID, workflows.NodeID(in.Node), nodes.CodeWaitsForApproval, map[string]any{
		"approved": d.Approved, "by": d.By, "comment": d.Comment, "at": d.At.Format(time.RFC3339Nano),
	})
	if err != nil {
		return nil, err
	}
	return rest.OK(d), nil
}
