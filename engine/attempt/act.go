package attempt

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/engine/plan"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// Act implements nodes.Env.
func (s *Attempt) Act(ctx context.Context, action string, fields map[string]any) (map[string]any, error) {
	actor := s.process.Actor
	if actor == nil {
		return nil, &nodes.Error{Code: nodes.CodeInternal, Message: "this process cannot work on credentials"}
	}
	run := s.Run
	out, err := actor.Act(ctx, credentials.Use{
		ID: s.credential, Workflow: string(run.Workflow), Folder: run.Folder, Run: run.ID.String(), Node: string(s.Node.ID), Park: true,
	}, credentials.Action{Name: action, Fields: fields, Sealed: s.sealedFields(fields)})
	if err != nil {
		return nil, actionError(ctx, err)
	}
	return out, nil
}

// sealedFields are the fields that come from outputs of sensitive nodes alone.
func (s *Attempt) sealedFields(fields map[string]any) []string {
	for i := range s.Node.Params {
		if p := &s.Node.Params[i]; p.Decl.Sealed {
			if slices.Contains(p.Sealed, plan.EveryMember) {
				return slices.Sorted(maps.Keys(fields))
			}
			return p.Sealed
		}
	}
	return nil
}

// actionError turns a refusal of the vault into the step's error.
func actionError(ctx context.Context, err error) *nodes.Error {
	f, ok := errors.AsType[*fault.Error](err)
	if _, typed := errors.AsType[*credentials.Error](err); typed || !ok {
		return nodeError(ctx, err)
	}
	texts := []string{f.Message}
	for _, p := range f.Problems {
		texts = append(texts, strings.TrimSpace(p.Path+" "+p.Message))
	}
	code := nodes.CodeRotation
	switch f.Kind {
	case fault.NotFound:
		code = nodes.CodeCredentialUnknown
	case fault.Forbidden:
		code = nodes.CodeWorkflowNotAllowed
	case fault.Invalid:
		code = nodes.CodeInvalidParam
	case fault.Unavailable:
		code = nodes.CodeNetwork
	case fault.Internal:
		code = nodes.CodeInternal
	default: // the new values were not promoted
	}
	return &nodes.Error{Code: code, Message: strings.Join(texts, "; "), Err: err}
}
