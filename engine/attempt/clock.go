package attempt

import (
	"context"
	"sync"
	"time"

	"keyflow/engine/values"
)

// clock ends an attempt after its timeout. It stands still while requests wait for what
// is not the node's doing, such as the limits of a credential. A nil clock never ends anything.
type clock struct {
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer
	left     time.Duration // when it was last started
	started  time.Time
	standing int // how many wait
}

func withClock(ctx context.Context, timeout time.Duration) (context.Context, *clock) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{cancel: cancel, left: timeout, started: time.Now()}
	c.timer = time.AfterFunc(timeout, func() { cancel(values.ErrAttemptTimeout) })
	return ctx, c
}

// stand stops the clock until resume is called.
func (c *clock) stand() (resume func()) {
	if c == nil {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standing++
	if c.standing == 1 && c.timer.Stop() {
		c.left -= time.Since(c.started)
	}
	return c.resume
}

func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standing--
	if c.standing == 0 {
		c.started = time.Now()
		c.timer.Reset(max(c.left, 0))
	}
}

// end frees the clock.
func (c *clock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.cancel(context.Canceled)
}
