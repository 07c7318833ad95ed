package outbound

import (
	"context"
	"errors"
	"io"

	"keyflow/credentials"
	"keyflow/credentials/internal/failurerule"
)

// withAnswer attaches the redacted answer to err and ends the exchange.
func (t *Transport) withAnswer(s *exchange, err error) error {
	defer closeBody(s.res.Body)
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		return err
	}
	body, readErr := io.ReadAll(io.LimitReader(s.res.Body, failurerule.MaxBody))
	if readErr != nil && len(body) == 0 {
		body = nil // status and headers are still useful
	}
	with := *e
	with.Answer = &credentials.Answer{Status: s.res.StatusCode, Header: s.res.Header, Body: body}
	return &with
}

// refused makes the error of an answer that refuses the credential itself.
func (t *Transport) refused(ctx context.Context, s *exchange) error {
	o, message := s.credential, s.refusal()
	if !t.Draft {
		t.Resolver.States.Report(ctx, o, credentials.Refused, message)
	}
	return t.withAnswer(s, o.Failed(credentials.CodeRefused, nil, "%s; enter a new secret or check its rights there", message))
}
