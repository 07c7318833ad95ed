package engine

import (
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// FillQueue takes all places of the queue, by so many workflows that no other has a share left;
// free gives them back.
func (e *Engine) FillQueue() (free func()) {
	var taken []runs.ID
	for n := byte(1); e.queue.Reserve(runs.ID{n}, workflows.ID(rune('a'+n)), e.o.QueueLimit); n++ {
		taken = append(taken, runs.ID{n})
	}
	return func() {
		for _, id := range taken {
			e.queue.Unreserve(id)
		}
	}
}
