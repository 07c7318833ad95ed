package attempt

import (
	"context"
	"errors"

	"keyflow/engine/plan"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// done is the outcome of a step with this raw output.
func (s *Attempt) done(ctx context.Context, v any) (Outcome, *nodes.Error) {
	out := Outcome{Kind: state.Succeeded}
	err := s.output(ctx, v, &out)
	return out, err
}

// output applies the output template and the size limit, and seals what is sensitive.
func (s *Attempt) output(ctx context.Context, v any, out *Outcome) *nodes.Error {
	v = s.sent.maskValue(string(s.Node.ID), v)
	if s.Node.Output != nil {
		var err error
		if v, err = s.Node.Output.Eval(ctx, s.env("output", plan.NameThis, v)); err != nil {
			return s.hideDetails(values.ExpressionError(ctx, "output", err), "output")
		}
	}
	var cookies []int
	if s.Node.Sensitive {
		v, cookies = values.CookiesIn(v)
	}
	raw, err := jsonvalue.Encode(v)
	if errors.Is(err, jsonvalue.ErrRedacted) {
		return s.redactOutput(v, out)
	}
	if err != nil {
		return &nodes.Error{Code: nodes.CodeExpression, Message: "output: the value cannot be written as JSON", Err: err}
	}
	if wrong := s.process.CheckSize(raw); wrong != nil {
		return wrong
	}
	if s.Node.Sensitive {
		return s.seal(raw, cookies, out)
	}
	out.Output, out.Value = raw, v
	return nil
}
