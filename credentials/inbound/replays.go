package inbound

import (
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
)

// replays remembers signed requests until they are too old to be accepted anyway. It knows
// those of this process alone; across processes the dedupe of a trigger keeps runs single.
// Its zero value is empty.
type replays struct {
	mu   sync.Mutex
	seen map[replay]time.Time // until when
	next time.Time            // when to drop what has ended
}

type replay struct {
	id   credentials.ID
	once string
}

// sweepPause is the time between two sweeps.
const sweepPause = time.Minute

// first notes a request and reports whether it is new.
func (r *replays) first(id credentials.ID, found authtype.Proven, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	key := replay{id, found.Once}
	if until, ok := r.seen[key]; ok && now.Before(until) {
		return false
	}
	if r.seen == nil {
		r.seen = make(map[replay]time.Time)
	}
	r.seen[key] = found.Until
	return true
}

func (r *replays) sweep(now time.Time) {
	if now.Before(r.next) {
		return
	}
	r.next = now.Add(sweepPause)
	for key, until := range r.seen {
		if !now.Before(until) {
			delete(r.seen, key)
		}
	}
}

func (r *replays) forget(id credentials.ID, found authtype.Proven) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, replay{id, found.Once})
}
