package vault

import (
	"context"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/coalesce"
	"keyflow/credentials/sources"
	"keyflow/internal/fault"
)

// stampTimeout bounds one read of a revision; it belongs to all who wait for it.
const stampTimeout = 10 * time.Second

// Reader opens credentials: it reads, decrypts and caches them. It is safe for concurrent use.
type Reader struct {
	records credentials.Store
	sealer  *Sealer
	sources *sources.Sources

	cache  cache
	stamps coalesce.Reads[credentials.ID, credentials.Stamp]
}

// NewReader returns a reader of records.
func NewReader(records credentials.Store, sealer *Sealer, from *sources.Sources) *Reader {
	return &Reader{records: records, sealer: sealer, sources: from}
}

// open returns the credential as it is now: every edit that had returned before the call is
// seen, in every process (promise P1). It is *Error credential_unknown when missing.
//
// When this process alone changes the store, the cache is right by itself: an edit drops its
// entry before it returns. When others may change it too, each call checks the revision by a
// read that starts after the call.
func (rd *Reader) open(ctx context.Context, id credentials.ID) (*opened, error) {
	o := rd.cache.get(id)
	if rd.records.Shared() {
		stamp, err := rd.stamp(ctx, id)
		if err != nil {
			return nil, unknownOr(id, err)
		}
		if o != nil && o.Revision == stamp.Revision {
			if o.State == stamp.State {
				return o, nil
			}
			o = o.withState(stamp.State)
			rd.cache.put(o, rd.cache.begin())
			return o, nil
		}
		o = nil
	}
	if o != nil {
		return o, nil
	}
	return rd.load(ctx, id)
}

// stamp reads revision and state from the store; many callers share a read.
func (rd *Reader) stamp(ctx context.Context, id credentials.ID) (credentials.Stamp, error) {
	return rd.stamps.Do(ctx, id, func(ctx context.Context) (credentials.Stamp, error) {
		ctx, cancel := context.WithTimeout(ctx, stampTimeout)
		defer cancel()
		return rd.records.Stamp(ctx, id)
	})
}

func (rd *Reader) load(ctx context.Context, id credentials.ID) (*opened, error) {
	epoch := rd.cache.begin()
	r, err := rd.records.Get(ctx, id)
	if err != nil {
		return nil, unknownOr(id, err)
	}
	o, broken, err := rd.sealer.unseal(r)
	if err != nil {
		return nil, err
	}
	if len(broken) > 0 {
		return nil, damaged(id, broken)
	}
	rd.cache.put(o, epoch)
	return o, nil
}

func unknownOr(id credentials.ID, err error) error {
	if fault.Is(err, fault.NotFound) {
		return credentials.Unknown(id)
	}
	return err
}

// setState stores a state if the record is still at seen's revision; otherwise it does nothing.
func (s *States) setState(ctx context.Context, id credentials.ID, seen *opened, status credentials.Status, message string) error {
	if seen.State.Status == status && seen.State.Message == message {
		return nil
	}
	return s.storeState(seen, credentials.State{Status: status, Message: message, Since: credentials.Moment(s.now())}, func(state credentials.State) (bool, error) {
		return s.records.SetState(ctx, id, seen.Revision, state)
	})
}

// storeState writes a state and keeps the cache in step.
func (s *States) storeState(seen *opened, state credentials.State, write func(credentials.State) (stored bool, err error)) error {
	stored, err := write(state)
	if err == nil && stored && seen.State.NeedsPerson() && !state.NeedsPerson() {
		defer s.connected(seen.ID)
	}
	s.reader.stated(seen, state, err == nil && stored)
	return err
}

// stated keeps the cache in step with a write of a state. Without success, what is cached may be
// wrong.
func (rd *Reader) stated(seen *opened, state credentials.State, stored bool) {
	rd.cache.changed(seen.ID, func(o *opened) *opened {
		if !stored || o.Revision != seen.Revision {
			return nil
		}
		return o.withState(state)
	})
}

// changed drops what is cached of a credential; call it after every attempt to change one, before
// the change counts as done (promise P1).
func (rd *Reader) changed(id credentials.ID) { rd.cache.changed(id, nil) }

// cache holds decrypted credentials by id. Its zero value is empty.
type cache struct {
	mu      sync.RWMutex
	epoch   uint64 // counts changes; what was read in an earlier epoch is not kept
	entries map[credentials.ID]*opened
}

func (c *cache) get(id credentials.ID) *opened {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[id]
}

// begin is called before a read of the store whose result goes to put.
func (c *cache) begin() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.epoch
}

// put keeps o unless something changed since begin.
func (c *cache) put(o *opened, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if c.entries == nil {
		c.entries = make(map[credentials.ID]*opened)
	}
	c.entries[o.ID] = o
}

// changed drops id after an attempt to change it, also a failed one: an error does not tell
// whether the transaction was committed. keep may return what to hold instead; nil is nothing.
func (c *cache) changed(id credentials.ID, keep func(o *opened) *opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	if o := c.entries[id]; o != nil && keep != nil {
		if o = keep(o); o != nil {
			c.entries[id] = o
			return
		}
	}
	delete(c.entries, id)
}
