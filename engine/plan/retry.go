package plan

import (
	"cmp"
	"math"
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

// RetryPolicy says when a failed attempt is repeated.
type RetryPolicy struct {
	Attempts  int // counts the first
	Initial   time.Duration
	Factor    float64
	Max       time.Duration
	Jitter    bool
	Condition *expression.Expression // nil: the default set
}

// PolicyOf joins what the node states with its type's default.
func PolicyOf(def *workflows.Node, kind nodes.RetryDefault) RetryPolicy {
	r := def.Retry
	if r == nil {
		r = &workflows.Retry{}
	}
	p := RetryPolicy{
		Attempts: max(cmp.Or(r.MaxAttempts, kind.MaxAttempts), 1),
		Initial:  cmp.Or(time.Duration(r.Initial), kind.Initial, defaultInitial),
		Factor:   cmp.Or(r.Factor, kind.Factor, defaultFactor),
		Max:      cmp.Or(time.Duration(r.Max), kind.Max, defaultMax),
		Jitter:   r.Jitter,
	}
	if def.AtMostOnce {
		p.Attempts = 1
	}
	return p
}

// Delay is how long to wait after a failed attempt (counted from 1): exponential up to max, and
// at least what the answer asked for, up to maxRetryAfter. Jitter takes off up to half of the
// exponential part; roll is in [0, 1).
func (p *RetryPolicy) Delay(attempt int, retryAfter time.Duration, roll float64) time.Duration {
	d := float64(p.Initial) * math.Pow(p.Factor, float64(attempt-1))
	d = min(d, float64(p.Max)) // also of an infinite d
	if p.Jitter {
		d *= 1 - roll/2
	}
	return max(time.Duration(d), min(retryAfter, maxRetryAfter))
}
