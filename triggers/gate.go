package triggers

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	smallBody = 64 << 10 // bytes; larger bodies wait for each other, smaller ones not for them
	laneBytes = 16 << 20 // of bodies that are parsed and stored at once, for each size
	laneWait  = 10 * time.Second
)

// gate bounds the memory and time that bodies take together: parsed, hostile JSON is forty
// times as large as its text. It is safe for concurrent use.
type gate struct{ small, large *semaphore.Weighted }

func newGate() gate {
	return gate{semaphore.NewWeighted(laneBytes), semaphore.NewWeighted(laneBytes)}
}

// enter waits until a body of that many bytes may be parsed. ok is false when it takes too
// long; otherwise leave must be called.
func (g gate) enter(ctx context.Context, size int) (leave func(), ok bool) {
	lane, n := g.small, int64(size)
	if size > smallBody {
		lane = g.large
	}
	ctx, cancel := context.WithTimeout(ctx, laneWait)
	defer cancel()
	if err := lane.Acquire(ctx, n); err != nil {
		return nil, false
	}
	return func() { lane.Release(n) }, true
}
