package problem

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/credentials/oauth"
	"keyflow/credentials/sources"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// Message is the part of an error that a person may see.
func Message(err error) string {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return e.Message
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return e.Message
	}
	if e, ok := egress.AsError(err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*sources.Error](err); ok {
		return e.Message
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within the time limit"
	}
	return fault.Message(err)
}
