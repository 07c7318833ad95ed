package journal

import (
	"context"
	"errors"
	"runtime"

	"keyflow/engine/backoff"
	"keyflow/engine/runs"
)

// Serve writes until ctx is done, then stores what is left and returns nil. It runs once.
// It returns ErrSync when the disk did not confirm a write: the process must end.
func (j *Journal) Serve(ctx context.Context) error {
	base := context.WithoutCancel(ctx) // a transaction under way is finished
	failures := 0
	for ctx.Err() == nil {
		if failures == 0 {
			select {
			case <-j.wake:
				runtime.Gosched() // whoever is about to send comes first: fewer, larger transactions
			case <-ctx.Done():
			}
		} else {
			backoff.Sleep(ctx, backoff.Delay(failures))
		}
		if err := j.round(base, &failures); err != nil {
			j.close(refusal(err))
			return err
		}
	}
	return j.drain(base, failures)
}

// drain refuses new entries and stores those at hand, for at most DrainTimeout.
func (j *Journal) drain(ctx context.Context, failures int) error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, j.o.DrainTimeout)
	defer cancel()
	var err error
	for err == nil && ctx.Err() == nil && j.waiting() > 0 {
		if failures > 0 {
			backoff.Sleep(ctx, backoff.Delay(failures))
		}
		err = j.round(ctx, &failures)
	}
	if left := j.waiting(); left > 0 {
		j.o.Logger.Error("stopped before everything was stored; unfinished runs are taken up again at the next start", "entries", left)
	}
	j.close(errStopping)
	return err
}

// round writes one batch: what came in since the last one, or nothing at all to find out
// whether a database that failed is back. failures counts the failed rounds in a row. The
// error is ErrSync.
func (j *Journal) round(ctx context.Context, failures *int) error {
	batch := j.take()
	if len(batch) == 0 && *failures == 0 {
		return nil
	}
	rest, err := j.write(ctx, batch)
	if err == nil {
		*failures = 0
		j.up()
		return nil
	}
	*failures++
	j.giveBack(rest, err, *failures)
	if errors.Is(err, runs.ErrSync) {
		return err
	}
	return nil
}
