package usage

import (
	"sync"
	"time"

	"keyflow/credentials"
)

// useResolution is how exact last_used_at is.
const useResolution = time.Minute

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

func (u *uses) at(id credentials.ID) (time.Time, bool) {
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
