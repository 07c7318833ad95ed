package engine

import (
	"context"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/backoff"
	"keyflow/internal/fault"
)

// recheckEvery is how often the owner of a run is read again that could not be read.
const recheckEvery = 20 * time.Millisecond

// awaitOwnership is the ownership check: it returns when a step or a request of the run may start, or ctx is done. A
// process that was silent may have lost its runs without knowing: each is looked at before it
// does anything more. Without such a gap that costs a comparison.
func (r *runner) awaitOwnership(ctx context.Context) {
	for {
		r.engine.owner.Await(ctx)
		gaps := r.engine.owner.Gaps()
		if ctx.Err() != nil || r.sure.Load() == gaps {
			return
		}
		now, err := r.engine.o.Store.Run(ctx, r.run.ID)
		switch {
		case err == nil && now.Owner == r.run.Owner && now.Fence == r.run.Fence:
			// A takeover looks at the owner's beat in its own transaction: nobody can have taken
			// the run since the beat that ended the gap.
			r.sure.Store(gaps)
		case err == nil, fault.Is(err, fault.NotFound):
			r.mu.Lock()
			if !r.gone {
				r.engine.o.Logger.Warn("lost a run to another process", "run", r.run.ID)
			}
			r.leave(attempt.ErrLost)
			r.mu.Unlock()
			return
		default:
			backoff.Sleep(ctx, recheckEvery)
		}
	}
}
