package plan

import (
	"keyflow/workflows"
)

func (c *compiler) compileConcurrency(d *workflows.Concurrency) {
	if d == nil {
		return
	}
	p := &Concurrency{Limit: d.Limit, OnLimit: d.OnLimit}
	if d.Key != "" {
		at := site{compiler: c, node: everyNode, names: []string{"input", "vars", "trigger"}, shapes: c.known, callbacks: c.noCallbacks(), reads: &p.Reads}
		p.Key = at.template("/concurrency/key", d.Key)
	}
	c.plan.Concurrency = p
}
