package vault

import (
	"context"
	"errors"
	"sync"
	"time"

	"keyflow/credentials"
)

const (
	useResolution = time.Minute // last_used_at is as exact as this
	useWrites     = 10 * time.Second
	flushTimeout  = 5 * time.Second
)

// uses collects last uses until they are written. Its zero value is empty.
type uses struct {
	mu   sync.Mutex
	seen map[credentials.ID]time.Time // last noted use
	due  map[credentials.ID]time.Time // not written yet
}

func (u *uses) note(id credentials.ID, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.seen[id]) < useResolution {
		return
	}
	if u.seen == nil {
		u.seen, u.due = make(map[credentials.ID]time.Time), make(map[credentials.ID]time.Time)
	}
	u.seen[id], u.due[id] = now, now
}

func (u *uses) last(id credentials.ID) (time.Time, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	t, ok := u.seen[id]
	return t, ok
}

func (u *uses) take() map[credentials.ID]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.due) == 0 {
		return nil
	}
	due := u.due
	u.due = make(map[credentials.ID]time.Time)
	return due
}

func (u *uses) forget(id credentials.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.seen, id)
	delete(u.due, id)
}

// touch notes that the credential was used. It does not block: Serve and Close write it.
func (v *Vault) touch(id credentials.ID, now time.Time) {
	v.uses.note(id, now.UTC().Truncate(time.Microsecond))
}

// Serve writes last uses, keeps idle credentials alive, reminds of those that end and
// re-encrypts after a change of the master key, until ctx is done, and then writes
// what is left of the uses.
func (v *Vault) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { v.serveIdle(ctx) })
	wg.Go(func() { v.serveRotation(ctx) })
	wg.Go(func() { v.serveReminders(ctx) })
	defer wg.Wait()
	ticker := time.NewTicker(useWrites)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := v.flush(ctx, false); err != nil {
				v.log.WarnContext(ctx, "last uses of credentials not written", "error", err)
			}
		case <-ctx.Done():
			return v.Close(context.WithoutCancel(ctx))
		}
	}
}

// Close writes what Serve has not written yet.
func (v *Vault) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return v.flush(ctx, true)
}

// flush drops what it cannot write: the next use is at most a minute away.
func (v *Vault) flush(ctx context.Context, all bool) error {
	err := v.flushUsages(ctx, all)
	if due := v.uses.take(); len(due) > 0 {
		err = errors.Join(v.store.Touch(ctx, due), err)
	}
	return err
}
