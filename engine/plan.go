package engine

import (
	"context"
	"sync"

	"keyflow/internal/fault"
	"keyflow/workflows"
)

// planCache keeps compiled versions. Versions are immutable, so nothing in it gets stale.
type planCache struct {
	mu    sync.RWMutex
	plans map[planKey]*Plan
}

type planKey struct {
	workflow workflows.ID
	version  int
}

// maxPlans bounds the cache; over it, any plan may go.
const maxPlans = 2048

func newPlanCache() *planCache { return &planCache{plans: map[planKey]*Plan{}} }

func (c *planCache) get(key planKey) *Plan {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.plans[key]
}

func (c *planCache) put(key planKey, p *Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.plans {
		if len(c.plans) < maxPlans {
			break
		}
		delete(c.plans, old)
	}
	c.plans[key] = p
}

// plan returns the compiled version of a workflow; Invalid when this release refuses it.
func (e *Engine) plan(ctx context.Context, id workflows.ID, version int) (*Plan, error) {
	key := planKey{id, version}
	if p := e.plans.get(key); p != nil {
		return p, nil
	}
	d, err := e.o.Catalog.Definition(ctx, id, version)
	if err != nil {
		return nil, err
	}
	p, problems := compileStored(d, e.o.Types)
	if len(problems) > 0 {
		return nil, fault.Problems("the stored workflow is not valid in this release", problems)
	}
	e.plans.put(key, p)
	return p, nil
}
