package attempt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"time"

	"keyflow/credentials"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Do evaluates what comes before the first attempt, then makes one attempt.
func (s *Attempt) Do(ctx context.Context) Outcome {
	if s.Fresh && s.Node.Condition != nil {
		if out, stop := s.checkCondition(ctx); stop {
			return out
		}
	}
	if s.Node.ForEach != nil && s.Key.Index == runs.NoIndex {
		return s.Expand(ctx)
	}
	started := s.process.Now()
	out, err := s.try(ctx, started)
	if err != nil {
		out = s.failure(ctx, s.hideAnswer(err))
	}
	if out.Wait.Idle {
		return out
	}
	finished := s.process.Now()
	out.Attempt = &runs.Attempt{Attempt: s.Number, StartedAt: started, FinishedAt: &finished, Request: s.lastRequest()}
	if out.Err != nil {
		out.Attempt.Error = StepError(out.Err, s.Number)
	}
	return out
}

func (s *Attempt) checkCondition(ctx context.Context) (Outcome, bool) {
	v, err := s.Node.Condition.Eval(ctx, s.env("if"))
	if err != nil {
		return notStarted(ctx, values.ExpressionError(ctx, "if", err)), true
	}
	wanted, ok := v.(bool)
	if !ok {
		return Outcome{Kind: state.Failed, Err: &nodes.Error{Code: nodes.CodeExpression, Message: "if gave " + plan.TypeName(v) + ", not a boolean"}}, true
	}
	return Outcome{Kind: state.Unwanted}, !wanted
}

// Expand evaluates for_each.
func (s *Attempt) Expand(ctx context.Context) Outcome {
	v, err := s.Node.ForEach.Eval(ctx, s.env("for_each"))
	if err != nil {
		return notStarted(ctx, values.ExpressionError(ctx, "for_each", err))
	}
	list, wrong := values.NewElements(v)
	if wrong != nil {
		return Outcome{Kind: state.Failed, Err: wrong}
	}
	return Outcome{Kind: state.Expanded, Elements: list}
}

// withoutURL drops the layer of http.Client, whose text holds the whole URL with its query.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// notStarted is the outcome of a step that failed before its first attempt: the same data
// would fail again, so it is not repeated.
func notStarted(ctx context.Context, err *nodes.Error) Outcome {
	if out, stopped := interruption(ctx); stopped {
		return out
	}
	return Outcome{Kind: state.Failed, Err: err}
}

// interruption is the outcome of a step whose run was interrupted; false when it was not.
func interruption(ctx context.Context) (Outcome, bool) {
	switch cause := context.Cause(ctx); {
	case ctx.Err() == nil:
		return Outcome{}, false
	case errors.Is(cause, ErrCanceled):
		return Outcome{Kind: state.Cut, Err: &nodes.Error{Code: nodes.CodeCanceled, Message: ErrCanceled.Error()}}, true
	case errors.Is(cause, ErrTimedOut):
		return Outcome{Kind: state.Cut, Err: &nodes.Error{Code: nodes.CodeTimeout, Message: ErrTimedOut.Error()}}, true
	default:
		return Outcome{Dropped: true}, true
	}
}

// failure decides what a failed attempt means: an interruption, another attempt, or the end.
func (s *Attempt) failure(ctx context.Context, err *nodes.Error) Outcome {
	if out, stopped := interruption(ctx); stopped {
		return out
	}
	if !err.Until.IsZero() {
		return Outcome{Kind: state.Postponed, Err: err, Wait: Wait{Idle: true, Lasting: max(err.Until.Sub(s.process.Now()), 0)}}
	}
	if out, waits := s.needsConnect(err); waits {
		return out
	}
	if err.Err != nil {
		s.Log().Info("attempt failed", "attempt", s.Number, "code", err.Code, "error", withoutURL(err.Err))
	}
	delay, again, wrong := s.again(ctx, err)
	switch {
	case wrong != nil:
		wrong.Message += " (the attempt failed with " + err.Code + ": " + err.Message + ")"
		return Outcome{Kind: state.Failed, Err: wrong}
	case again:
		return Outcome{Kind: state.Postponed, Err: retryError(err, delay), Wait: Wait{Lasting: delay}}
	default:
		return Outcome{Kind: state.Failed, Err: err}
	}
}

// try runs the node once, unless its external result is there.
func (s *Attempt) try(ctx context.Context, started time.Time) (Outcome, *nodes.Error) {
	if s.Node.Timeout > 0 {
		ctx, s.clock = withClock(egress.WithOwnTimeout(ctx), s.Node.Timeout)
		defer s.clock.end()
	}
	s.ctx = ctx
	if s.External != nil && !s.External.Late {
		return s.delivered(ctx)
	}
	if err := s.findCredential(ctx); err != nil {
		return Outcome{}, err
	}
	with, wrong := values.Params(ctx, s.Node, s.paramEnv, s.use)
	if wrong != nil {
		return Outcome{}, wrong
	}
	if s.Node.AtMostOnce {
		if err := s.host.StoreStart(ctx, s.Key, s.Number, started); err != nil {
			return Outcome{}, values.ContextError(ctx)
		}
	}
	s.rest()
	result, err := s.call(ctx, nodes.Input{With: with, Now: started})
	if err != nil {
		return Outcome{}, s.sent.maskError(string(s.Node.ID), nodeError(ctx, err))
	}
	return s.result(ctx, result)
}

// result carries out what the node asks for.
func (s *Attempt) result(ctx context.Context, result nodes.Result) (Outcome, *nodes.Error) {
	switch result := result.(type) {
	case nodes.Done:
		return s.done(ctx, result.Output)
	case nodes.Park:
		return parked(&result, s.process.Now()), nil
	case nodes.Respond:
		return s.respond(ctx, &result)
	case nodes.Start:
		n, err := child{s}.start(ctx, &result)
		if err != nil {
			return Outcome{}, err
		}
		if result.Wait {
			return s.started(n), nil
		}
		out, err := s.done(ctx, map[string]any{"run_id": n.Run.ID.String()})
		out.Start = n
		return out, err
	case nodes.Emit:
		return s.emit(ctx, &result)
	default:
		return Outcome{}, &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: fmt.Errorf("node gave %T", result)}
	}
}

// call runs the node; a panic of one node is that step's failure and nobody else's.
func (s *Attempt) call(ctx context.Context, in nodes.Input) (result nodes.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			text := fmt.Sprint(p)
			if s.Node.Sensitive || len(s.Node.Reads.Sealed) > 0 {
				text = jsonvalue.Mask
			}
			s.Log().Error("node panicked", "type", s.Node.Type.Name, "panic", text, "stack", string(debug.Stack()))
			err = &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Permanent: true}
		}
	}()
	return s.Node.Runner.Run(ctx, s, in)
}

// delivered is the outcome of a step with an external result.
func (s *Attempt) delivered(ctx context.Context) (Outcome, *nodes.Error) {
	if failure := s.External.Error; failure != nil {
		return Outcome{}, &nodes.Error{Code: failure.Code, Message: failure.Message}
	}
	v, err := jsonvalue.Decode(s.External.Output)
	if err != nil {
		return Outcome{}, &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: err}
	}
	return s.done(ctx, v)
}

// parked is the outcome of an attempt that asks to wait.
func parked(p *nodes.Park, now time.Time) Outcome {
	out := Outcome{Kind: state.Postponed, Wait: Wait{Idle: true, Awaits: p.For}, Err: &nodes.Error{Code: p.For, Message: p.Message}}
	if p.For == "" {
		out.Err.Code = nodes.CodeWaitsForTime
	}
	if p.Until.IsZero() {
		out.Wait.Forever = true
	} else {
		out.Wait.Lasting = max(p.Until.Sub(now), 0)
	}
	return out
}

// needsConnect is the outcome of an attempt that could not be made before a person connects the
// credential; false when it is a failure as any other. A run of a definition that is in no
// catalog does not outlive its process, and nobody can connect anything there.
func (s *Attempt) needsConnect(err *nodes.Error) (Outcome, bool) {
	left := s.Plan.ConnectTimeout
	if err.Hold == "" || left == 0 || !s.process.CanConnect || s.Run.Version == 0 {
		return Outcome{}, false
	}
	if !s.ConnectEnd.IsZero() {
		if left = s.ConnectEnd.Sub(s.process.Now()); left <= 0 {
			err.Message += fmt.Sprintf(" (the step waited %s for that)", workflows.Duration(s.Plan.ConnectTimeout))
			return Outcome{}, false
		}
	}
	return Outcome{Kind: state.Postponed, Err: err, Wait: Wait{Idle: true, Lasting: left, Connect: credentials.ID(err.Hold)}}, true
}
