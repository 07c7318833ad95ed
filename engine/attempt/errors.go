package attempt

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// Reasons for which a run's steps are interrupted.
var (
	ErrCanceled = errors.New("the run was canceled")
	ErrTimedOut = errors.New("the run took longer than its timeout")
	ErrLeaving  = errors.New("the process is stopping")
	ErrLost     = errors.New("the run belongs to another process")
)

// nodeError classifies what a node returned. Texts of unknown errors are not shown.
func nodeError(ctx context.Context, err error) *nodes.Error {
	if e, ok := errors.AsType[*nodes.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return credentialError(e)
	}
	if e, ok := egress.AsError(err); ok {
		return &nodes.Error{Code: e.Code, Message: e.Error(), Err: err}
	}
	if ctx.Err() != nil {
		return values.ContextError(ctx)
	}
	return &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: err}
}

// credentialError is a failure of the vault. The answer that refused the credential is
// kept; a token endpoint that does not answer is worth another attempt, as any network is.
func credentialError(e *credentials.Error) *nodes.Error {
	out := &nodes.Error{Code: e.Code, Message: e.Message, Until: e.Until, Err: e}
	if e.Hold {
		out.Hold = string(e.ID)
	}
	if e.Answer != nil {
		out.Response, out.Status = e.Answer.Data(), e.Answer.Status
	}
	return out
}

// maxErrorResponse bounds the answer that a stored error keeps.
const maxErrorResponse = 64 << 10

// StepError is a failure as it is stored. An answer too large to keep loses its body.
func StepError(err *nodes.Error, attempt int) *runs.StepError {
	out := &runs.StepError{Code: err.Code, Message: values.ShortMessage(err.Message), Attempt: attempt}
	if err.Response == nil {
		return out
	}
	raw, encodeErr := jsonvalue.EncodeShown(err.Response)
	if response, ok := err.Response.(map[string]any); ok && len(raw) > maxErrorResponse {
		raw, encodeErr = jsonvalue.EncodeShown(map[string]any{"status": response["status"], "headers": response["headers"], "body": nil})
	}
	if encodeErr == nil && len(raw) <= maxErrorResponse {
		out.Response = raw
	}
	return out
}
