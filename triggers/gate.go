package triggers

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	smallBody = 64 << 10 // bytes; large bodies wait for one another, small ones do not wait for them
	gateBytes = 16 << 20 // of bodies that are parsed and stored at once, for small and large each
	gateWait  = 10 * time.Second
)

// gate bounds the memory that bodies take together: hostile JSON is forty times as large as its
// text when it is parsed. It is safe for concurrent use.
type gate struct{ small, large *semaphore.Weighted }

func newGate() gate {
	return gate{semaphore.NewWeighted(gateBytes), semaphore.NewWeighted(gateBytes)}
}

// enter waits until a body of size bytes may be parsed. ok is false when that takes too long;
// otherwise the caller calls exit.
func (g gate) enter(ctx context.Context, size int) (exit func(), ok bool) {
	bodies, n := g.small, int64(size)
	if size > smallBody {
		bodies = g.large
	}
	ctx, cancel := context.WithTimeout(ctx, gateWait)
	defer cancel()
	if err := bodies.Acquire(ctx, n); err != nil {
		return nil, false
	}
	return func() { bodies.Release(n) }, true
}
