package values

import (
	"context"

	"keyflow/engine/plan"
	"keyflow/internal/expression"
	"keyflow/nodes"
)

// Params returns the parameters as the node gets them; what they hold is shared. use checks
// each for redacted values.
func Params(ctx context.Context, p *plan.Node, env func(decl *nodes.Param) (expression.Env, error), use func(decl *nodes.Param, v any) (any, *nodes.Error)) (map[string]any, *nodes.Error) {
	with := make(map[string]any, len(p.Params))
	for i := range p.Params {
		q := &p.Params[i]
		switch {
		case q.Expression != nil:
			continue
		case q.Literal:
			with[q.Decl.Name] = q.Fixed
			continue
		}
		vars, err := env(&q.Decl)
		if err != nil {
			return nil, &nodes.Error{Code: nodes.CodeInternal, Message: "with." + q.Decl.Name + ": a sealed output cannot be opened", Err: err}
		}
		v, err := q.Value.Eval(ctx, vars)
		if err != nil {
			wrong := ExpressionError(ctx, "with."+q.Decl.Name, err)
			if q.Decl.Sealed {
				wrong = WithoutDetails(wrong, "with."+q.Decl.Name)
			}
			return nil, wrong
		}
		v, wrong := use(&q.Decl, v)
		if wrong != nil {
			return nil, wrong
		}
		if v == nil && q.Decl.Kind != nodes.Any {
			if q.Decl.Required {
				return nil, &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with." + q.Decl.Name + " is null; it must be " + plan.KindName(q.Decl.Kind)}
			}
			continue
		}
		fixed, err := plan.Convert(q.Decl, v)
		if err != nil {
			return nil, &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with." + q.Decl.Name + ": " + err.Error()}
		}
		with[q.Decl.Name] = fixed
	}
	return with, nil
}
