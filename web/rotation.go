package web

import (
	"bytes"
	"context"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/web/session"
)

type rollbackBody struct {
	Version int `json:"version,omitempty" doc:"The version to go back to; absent is the former one."`
}

type candidateBody struct {
	Fields map[string]any `json:"fields" doc:"New values; absent fields are those of the current version, null clears one."`
}

type testBody struct {
	Candidate bool `json:"candidate,omitempty" doc:"Test the candidate, not the current version."`
}

type credentialAction struct {
	CredentialPath
	JSONBody
}

// decodeOptional is decode for a body that may be left out.
func decodeOptional[T any](raw []byte) (T, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		var none T
		return none, nil
	}
	return decode[T](raw)
}

func (s *server) rollbackCredential(ctx context.Context, who session.Who, in *credentialAction) (*answer[credentials.Credential], error) {
	body, err := decodeOptional[rollbackBody](in.RawBody)
	if err == nil && body.Version < 0 {
		err = fault.Problems("the body is not valid", []fault.Problem{{Path: "/version", Code: "invalid_value", Message: "must be 1 or more"}})
	}
	if err != nil {
		return nil, err
	}
	c, err := s.credentials.Rollback(ctx, who.Caller, in.ID, body.Version)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) stageCredential(ctx context.Context, who session.Who, in *credentialAction) (*answer[credentials.Credential], error) {
	body, err := decode[candidateBody](in.RawBody)
	if err == nil && body.Fields == nil {
		err = fault.Problems("the body is not valid", []fault.Problem{{Path: "/fields", Code: "required", Message: "is required: the new values"}})
	}
	if err != nil {
		return nil, err
	}
	c, err := s.credentials.Stage(ctx, who.Caller, in.ID, body.Fields)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) unstageCredential(ctx context.Context, who session.Who, in *CredentialPath) (*answer[credentials.Credential], error) {
	c, err := s.credentials.Unstage(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) promoteCredential(ctx context.Context, who session.Who, in *credentialAction) (*answer[credentials.Credential], error) {
	how, err := decodeOptional[credentials.Promotion](in.RawBody)
	if err != nil {
		return nil, err
	}
	c, err := s.credentials.Promote(ctx, who.Caller, in.ID, how)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) testCredential(ctx context.Context, who session.Who, in *credentialAction) (*answer[credentials.TestResult], error) {
	body, err := decodeOptional[testBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	test := s.credentials.Test
	if body.Candidate {
		test = s.credentials.TestCandidate
	}
	result, err := test(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return ok(result), nil
}
