package attempt

import (
	"context"
	"math/rand/v2"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/values"
	"keyflow/nodes"
	"keyflow/workflows"
)

// retryError is the error of an attempt that is tried again after wait. It shows a wait that the
// answer asked for, and whether the wait was cut.
func retryError(err *nodes.Error, wait time.Duration) *nodes.Error {
	if err.RetryAfter == 0 || wait > err.RetryAfter {
		return err
	}
	out := *err
	out.Message += "; it asks to wait " + workflows.Duration(err.RetryAfter).String()
	if wait < err.RetryAfter {
		out.Message += ", the next attempt starts after " + workflows.Duration(wait).String()
	}
	return &out
}

// Transient is the default set of failures worth another attempt.
func Transient(err *nodes.Error) bool {
	switch err.Code {
	case nodes.CodeNetwork, nodes.CodeTimeout:
		return true
	case nodes.CodeHTTPStatus:
		return err.Status == 408 || err.Status == 425 || err.Status == 429 || err.Status >= 500
	default:
		return false
	}
}

// again decides whether a failed attempt is followed by another, and after how long. The
// error is that of a retry.if that cannot be evaluated; then there is no other attempt.
func (s *Attempt) again(ctx context.Context, err *nodes.Error) (time.Duration, bool, *nodes.Error) {
	p := &s.Node.Retry
	if s.Number >= p.Attempts || err.Permanent {
		return 0, false, nil
	}
	if p.Condition == nil {
		if !Transient(err) {
			return 0, false, nil
		}
		return p.Delay(s.Number, err.RetryAfter, jitter()), true, nil
	}
	v, evalErr := p.Condition.Eval(ctx, s.env("retry/if", plan.NameError, values.ErrorValue(StepError(err, s.Number))))
	if evalErr != nil {
		return 0, false, values.ExpressionError(ctx, "retry.if", evalErr)
	}
	wanted, ok := v.(bool)
	if !ok {
		return 0, false, &nodes.Error{Code: nodes.CodeExpression, Message: "retry.if gave " + plan.TypeName(v) + ", not a boolean"}
	}
	return p.Delay(s.Number, err.RetryAfter, jitter()), wanted, nil
}

// jitter is in [0, 1).
func jitter() float64 { return rand.Float64() } //nolint:gosec // it spreads retries, nobody gains by guessing it
