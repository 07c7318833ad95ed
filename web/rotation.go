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
