package credential

import (
	"context"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/web/rest"
	"keyflow/web/session"
)

func (h *handlers) credentialVersions(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[rest.Page[credentials.VersionInfo]], error) {
	versions, err := h.Credentials.Versions(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return rest.ListOf(versions, func(v credentials.VersionInfo) credentials.VersionInfo {
		v.Fields, v.Fingerprints = rest.OrEmptyMap(v.Fields), rest.OrEmptyMap(v.Fingerprints)
		v.CreatedAt = v.CreatedAt.UTC()
		return v
	}), nil
}

type rollbackBody struct {
	Version int `json:"version,omitempty" doc:"The version to go back to; absent is the former one."`
}

type candidateBody struct {
	Fields map[string]any `json:"fields" doc:"New values; absent fields are those of the current version, null clears one."`
}

type credentialAction struct {
	CredentialPath
	rest.JSONBody
}

func (h *handlers) rollbackCredential(ctx context.Context, who session.Who, in *credentialAction) (*rest.Answer[credentials.Credential], error) {
	body, err := rest.DecodeOptional[rollbackBody](in.RawBody)
	if err == nil && body.Version < 0 {
		err = fault.Problems("the body is not valid", []fault.Problem{{Path: "/version", Code: "invalid_value", Message: "must be 1 or more"}})
	}
	if err != nil {
		return nil, err
	}
	c, err := h.Credentials.Rollback(ctx, who.Caller, in.ID, body.Version)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (h *handlers) stageCredential(ctx context.Context, who session.Who, in *credentialAction) (*rest.Answer[credentials.Credential], error) {
	body, err := rest.Decode[candidateBody](in.RawBody)
	if err == nil && body.Fields == nil {
		err = fault.Problems("the body is not valid", []fault.Problem{{Path: "/fields", Code: "required", Message: "is required: the new values"}})
	}
	if err != nil {
		return nil, err
	}
	c, err := h.Credentials.Stage(ctx, who.Caller, in.ID, body.Fields)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (h *handlers) unstageCredential(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[credentials.Credential], error) {
	c, err := h.Credentials.Unstage(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (h *handlers) promoteCredential(ctx context.Context, who session.Who, in *credentialAction) (*rest.Answer[credentials.Credential], error) {
	how, err := rest.DecodeOptional[credentials.Promotion](in.RawBody)
	if err != nil {
		return nil, err
	}
	c, err := h.Credentials.Promote(ctx, who.Caller, in.ID, how)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}
