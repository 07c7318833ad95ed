package main

import (
	"context"
	"time"

	"keyflow/internal/fault"
)

const (
	pruneEvery = time.Minute
	pruneBatch = 500 // rows: few enough that no run waits for the database
)

// prune deletes expired dedupe keys until ctx is done. Any number of processes may do so.
func (c *core) prune(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		n, err := c.runs.PruneDedupe(ctx, c.now(), pruneBatch)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("delete expired dedupe keys", "error", fault.Message(err))
		}
		if err == nil && n == pruneBatch {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
