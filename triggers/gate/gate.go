// Package gate bounds the memory that the bodies of inbound requests take together.
package gate

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// SmallBody is a size in bytes: larger bodies wait for one another, smaller ones do not wait
	// for them.
	SmallBody = 64 << 10

	most = 16 << 20 // bytes of bodies that are parsed and stored at once, for small and large each
	wait = 10 * time.Second
)

// Gate bounds the memory that bodies take together: hostile JSON is forty times as large as its
// text when it is parsed. It is safe for concurrent use.
type Gate struct{ small, large *semaphore.Weighted }

// New returns a gate with room for 16 MiB of small bodies and as much of large ones.
func New() Gate {
	return Gate{semaphore.NewWeighted(most), semaphore.NewWeighted(most)}
}

// Enter waits until a body of size bytes may be parsed. ok is false when that takes too long;
// otherwise the caller calls exit.
func (g Gate) Enter(ctx context.Context, size int) (exit func(), ok bool) {
	bodies, n := g.small, int64(size)
	if size > SmallBody {
		bodies = g.large
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := bodies.Acquire(ctx, n); err != nil {
		return nil, false
	}
	return func() { bodies.Release(n) }, true
}
