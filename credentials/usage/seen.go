package usage

import (
	"sync"
	"time"

	"keyflow/credentials"
)

// seenKey is what a use is remembered by.
type seenKey struct {
	credential     credentials.ID
	workflow, node string
}

// seen is a use that may not be written yet.
type seen struct {
	credentials.Seen
	written time.Time // when the one before was; zero: none was
	dirty   bool
}

// seenUses collects uses at run time until they are written. Its zero value is empty.
type seenUses struct {
	mu   sync.Mutex
	last map[seenKey]*seen
}

func (u *seenUses) note(use credentials.Seen) {
	key := seenKey{use.Credential, use.Workflow, use.Node}
	u.mu.Lock()
	defer u.mu.Unlock()
	entry := u.last[key]
	switch {
	case entry != nil:
	case len(u.last) >= maxSeen:
		return
	default:
		if u.last == nil {
			u.last = make(map[seenKey]*seen)
		}
		entry = new(seen)
		u.last[key] = entry
	}
	entry.Seen, entry.dirty = use, true
}

// take returns what is to be written: of each key at most one use a minute, unless all is
// asked for. Keys that were not used for a minute are forgotten.
func (u *seenUses) take(now time.Time, all bool) []credentials.Seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	var due []credentials.Seen
	for key, entry := range u.last {
		rested := now.Sub(entry.written) >= useResolution
		switch {
		case entry.dirty && (rested || all):
			due = append(due, entry.Seen)
			entry.written, entry.dirty = now, false
		case !entry.dirty && rested:
			delete(u.last, key)
		}
	}
	return due
}

func (u *seenUses) forget(id credentials.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key := range u.last {
		if key.credential == id {
			delete(u.last, key)
		}
	}
}
