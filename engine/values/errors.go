package values

import (
	"context"
	"errors"
	"strings"

	"keyflow/internal/expression"
	"keyflow/nodes"
)

// attemptTimeout is the cause of an attempt that its clock ended.
type attemptTimeout struct{}

// Error implements error.
func (attemptTimeout) Error() string { return "the attempt took longer than its timeout" }

// Timeout marks the error as a timeout for clients.
func (attemptTimeout) Timeout() bool { return true }

// ErrAttemptTimeout ends an attempt that takes too long.
var ErrAttemptTimeout error = attemptTimeout{}

// ExpressionError turns a failed evaluation into the step's error; where names the field.
// An evaluation that the context ended has that error's code.
func ExpressionError(ctx context.Context, where string, err error) *nodes.Error {
	if ctx.Err() != nil {
		return ContextError(ctx)
	}
	out := &nodes.Error{Code: nodes.CodeExpression, Message: where + ": the value cannot be computed", Err: err}
	if e, ok := errors.AsType[*expression.Error](err); ok {
		out.Message = where + pointerPath(e.Path) + ": " + e.Message
	}
	return out
}

// pointerPath writes a JSON pointer as people write a path: /a/0 is .a.0.
func pointerPath(pointer string) string {
	b := []byte(pointer)
	for i := range b {
		if b[i] == '/' {
			b[i] = '.'
		}
	}
	return string(b)
}

// WithoutDetails is an error of an expression without its text, which may quote a value.
func WithoutDetails(err *nodes.Error, where string) *nodes.Error {
	if err.Code != nodes.CodeExpression {
		return err
	}
	return &nodes.Error{Code: err.Code, Message: where + ": the value cannot be computed; the reason is not shown, because it may hold a secret"}
}

// ContextError is the failure of an attempt that its context ended.
func ContextError(ctx context.Context) *nodes.Error {
	if errors.Is(context.Cause(ctx), ErrAttemptTimeout) {
		return &nodes.Error{Code: nodes.CodeTimeout, Message: ErrAttemptTimeout.Error()}
	}
	return &nodes.Error{Code: nodes.CodeCanceled, Message: "interrupted", Err: context.Cause(ctx)}
}

// VarsError is the failure of a step, or of a run's output, that cannot be given what it reads.
func VarsError(err error) *nodes.Error {
	out := &nodes.Error{Code: nodes.CodeExpression, Message: err.Error()}
	if e, ok := errors.AsType[*nodes.Error](err); ok {
		out.Code = e.Code
	}
	return out
}

// maxMessage bounds the message of an error, which an author may compute, in bytes.
const maxMessage = 8 << 10

// ShortMessage is a message that can be stored with every attempt, with the run and with the
// runs that it is reported to.
func ShortMessage(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	const more = " …"
	return strings.ToValidUTF8(text[:maxMessage-len(more)], "") + more
}
