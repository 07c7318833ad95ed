package web

import (
	"bytes"
	"context"
	"regexp"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/identity"
	"keyflow/nodes"
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
	JSONBody
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

func (s *server) approveStep(ctx context.Context, who session.Who, in *decisionWrite) (*answer[decisionView], error) {
	return s.decide(ctx, who, in, true)
}

func (s *server) rejectStep(ctx context.Context, who session.Who, in *decisionWrite) (*answer[decisionView], error) {
	return s.decide(ctx, who, in, false)
}

func (s *server) decide(ctx context.Context, who session.Who, in *decisionWrite, approved bool) (*answer[decisionView], error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.Operate, in.ID)
	if err != nil {
		return nil, err
	}
	var body decisionBody
	if len(in.RawBody) > 0 {
		if body, err = decode[decisionBody](in.RawBody); err != nil {
			return nil, err
		}
	}
	d := decisionView{Approved: approved, By: who.Caller.Name, Comment: body.Comment, At: s.now().UTC()}
	err = s.runs.Bring(ctx, run.ID, workflows.NodeID(in.Node), nodes.CodeWaitsForApproval, map[string]any{
		"approved": d.Approved, "by": d.By, "comment": d.Comment, "at": d.At.Format(time.RFC3339Nano),
	})
	if err != nil {
		return nil, err
	}
	return ok(d), nil
}

// tokens finds the tokens of callback URLs (package engine): who has one may call it.
var tokens = regexp.MustCompile(`/callbacks/[A-Za-z0-9_-]{22}\.[A-Za-z0-9_]+\.[A-Za-z0-9_-]+`)

// withoutTokens is history that anybody may see who may see the run.
func withoutTokens(text []byte) []byte {
	if !bytes.Contains(text, []byte(callbacksPrefix)) {
		return text
	}
	return tokens.ReplaceAll(text, []byte(callbacksPrefix+"***"))
}

func withoutTokensIn(e *runs.StepError) *runs.StepError {
	if e == nil || e.Response == nil {
		return e
	}
	shown := *e
	shown.Response = withoutTokens(e.Response)
	return &shown
}
