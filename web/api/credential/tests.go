package credential

import (
	"context"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/web/rest"
	"keyflow/web/session"
)

type testBody struct {
	Candidate bool `json:"candidate,omitempty" doc:"Test the candidate, not the current version."`
}

func (h *handlers) testCredential(ctx context.Context, who session.Who, in *credentialAction) (*rest.Answer[credentials.TestResult], error) {
	body, err := rest.DecodeOptional[testBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	test := h.Credentials.Test
	if body.Candidate {
		test = h.Credentials.TestCandidate
	}
	result, err := test(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return rest.OK(result), nil
}

func (h *handlers) testUnsaved(ctx context.Context, who session.Who, in *rest.JSONBody) (*rest.Answer[credentials.TestResult], error) {
	input, err := rest.Decode[credentials.Input](in.RawBody, document.ReadOnly()...)
	if err != nil {
		return nil, err
	}
	result, err := h.Credentials.TestInput(ctx, who.Caller, input)
	if err != nil {
		return nil, err
	}
	return rest.OK(result), nil
}
