package engine

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"time"

	"keyflow/internal/expression"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Defaults of `retry` (docs/reference/workflow-format.md).
const (
	defaultInitial = time.Second
	defaultFactor  = 2
	defaultMax     = time.Minute
)

// maxRetryAfter bounds the wait that an answer asks for; retry.max does not.
const maxRetryAfter = 24 * time.Hour

// retryPolicy says when a failed attempt is repeated.
type retryPolicy struct {
	attempts  int // counts the first
	initial   time.Duration
	factor    float64
	max       time.Duration
	jitter    bool
	condition *expression.Expression // nil: the default set
}

// policyOf joins what the node states with its type's default.
func policyOf(def *workflows.Node, kind nodes.RetryDefault) retryPolicy {
	r := def.Retry
	if r == nil {
		r = &workflows.Retry{}
	}
	p := retryPolicy{
		attempts: max(cmp.Or(r.MaxAttempts, kind.MaxAttempts), 1),
		initial:  cmp.Or(time.Duration(r.Initial), kind.Initial, defaultInitial),
		factor:   cmp.Or(r.Factor, kind.Factor, defaultFactor),
		max:      cmp.Or(time.Duration(r.Max), kind.Max, defaultMax),
		jitter:   r.Jitter,
	}
	if def.AtMostOnce {
		p.attempts = 1
	}
	return p
}

// delay is how long to wait after a failed attempt (counted from 1): exponential up to max, and
// at least what the answer asked for, up to maxRetryAfter. Jitter takes off up to half of the
// exponential part; roll is in [0, 1).
func (p *retryPolicy) delay(attempt int, retryAfter time.Duration, roll float64) time.Duration {
	d := float64(p.initial) * math.Pow(p.factor, float64(attempt-1))
	d = min(d, float64(p.max)) // also of an infinite d
	if p.jitter {
		d *= 1 - roll/2
	}
	return max(time.Duration(d), min(retryAfter, maxRetryAfter))
}

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

// transient is the default set of failures worth another attempt.
func transient(err *nodes.Error) bool {
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
func (s *stepRun) again(ctx context.Context, err *nodes.Error) (time.Duration, bool, *nodes.Error) {
	p := &s.plan.retry
	if s.attempt >= p.attempts || err.Permanent {
		return 0, false, nil
	}
	if p.condition == nil {
		if !transient(err) {
			return 0, false, nil
		}
		return p.delay(s.attempt, err.RetryAfter, jitter()), true, nil
	}
	v, evalErr := p.condition.Eval(ctx, s.env("retry/if", nameError, errorValue(stepError(err, s.attempt))))
	if evalErr != nil {
		return 0, false, expressionError(ctx, "retry.if", evalErr)
	}
	wanted, ok := v.(bool)
	if !ok {
		return 0, false, &nodes.Error{Code: nodes.CodeExpression, Message: "retry.if gave " + typeName(v) + ", not a boolean"}
	}
	return p.delay(s.attempt, err.RetryAfter, jitter()), wanted, nil
}

// jitter is in [0, 1).
func jitter() float64 { return rand.Float64() } //nolint:gosec // it spreads retries, nobody gains by guessing it
