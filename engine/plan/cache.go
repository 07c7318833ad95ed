package plan

import (
	"context"
	"sync"

	"keyflow/workflows"
)

// Cache keeps compiled versions. Versions are immutable, so nothing in it gets stale.
type Cache struct {
	mu    sync.RWMutex
	plans map[versionKey]*Plan
}

type versionKey struct {
	workflow workflows.ID
	version  int
}

// maxPlans bounds the cache; over it, any plan may go.
const maxPlans = 2048

// NewCache returns an empty cache.
func NewCache() *Cache { return &Cache{plans: map[versionKey]*Plan{}} }

// Get returns the plan of a version, or nil.
func (c *Cache) Get(id workflows.ID, version int) *Plan {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.plans[versionKey{id, version}]
}

// Put keeps the plan of a version.
func (c *Cache) Put(id workflows.ID, version int, p *Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.plans {
		if len(c.plans) < maxPlans {
			break
		}
		delete(c.plans, old)
	}
	c.plans[versionKey{id, version}] = p
}

// Catalog is where the engine finds definitions; *workflows.Catalog is one. Both methods
// are called for each start and must answer from memory when nothing changed.
type Catalog interface {
	// Summary returns the current row; NotFound for a deleted workflow.
	Summary(ctx context.Context, id workflows.ID) (workflows.Summary, error)
	// Definition returns one version, parsed; it is shared and is not changed.
	Definition(ctx context.Context, id workflows.ID, version int) (*workflows.Definition, error)
}
