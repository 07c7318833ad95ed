package engine

import (
	"context"

	"keyflow/engine/plan"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// plan returns the compiled version of a workflow; Invalid when this release refuses it.
func (e *Engine) plan(ctx context.Context, id workflows.ID, version int) (*plan.Plan, error) {
	if p := e.plans.Get(id, version); p != nil {
		return p, nil
	}
	d, err := e.o.Catalog.Definition(ctx, id, version)
	if err != nil {
		return nil, err
	}
	p, problems := plan.CompileStored(d, e.o.Types)
	if len(problems) > 0 {
		return nil, fault.Problems("the stored workflow is not valid in this release", problems)
	}
	e.plans.Put(id, version, p)
	return p, nil
}
