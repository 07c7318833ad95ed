package vault

import (
	"context"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// stampTimeout bounds one read of a revision; it belongs to all who wait for it.
const stampTimeout = 10 * time.Second

// open returns the credential as it is now: every edit that had returned before the call is
// seen, in every process (promise P1). It is *Error credential_unknown when missing.
//
// When this process alone changes the store, the cache is right by itself: an edit drops its
// entry before it returns. When others may change it too, each call checks the revision by a
// read that starts after the call.
func (v *Vault) open(ctx context.Context, id credentials.ID) (*opened, error) {
	o := v.cache.get(id)
	if v.store.Shared() {
		stamp, err := v.stamp(ctx, id)
		if err != nil {
			return nil, unknownOr(id, err)
		}
		if o != nil && o.Revision == stamp.Revision {
			if o.State == stamp.State {
				return o, nil
			}
			o = o.withState(stamp.State)
			v.cache.put(o, v.cache.begin())
			return o, nil
		}
		o = nil
	}
	if o != nil {
		return o, nil
	}
	return v.load(ctx, id)
}

// stamp reads revision and state from the store; many callers share a read.
func (v *Vault) stamp(ctx context.Context, id credentials.ID) (credentials.Stamp, error) {
	return v.stamps.Do(ctx, id, func(ctx context.Context) (credentials.Stamp, error) {
		ctx, cancel := context.WithTimeout(ctx, stampTimeout)
		defer cancel()
		return v.store.Stamp(ctx, id)
	})
}

func (v *Vault) load(ctx context.Context, id credentials.ID) (*opened, error) {
	epoch := v.cache.begin()
	r, err := v.store.Get(ctx, id)
	if err != nil {
		return nil, unknownOr(id, err)
	}
	o, broken, err := v.unseal(r)
	if err != nil {
		return nil, err
	}
	if len(broken) > 0 {
		return nil, damaged(id, broken)
	}
	v.cache.put(o, epoch)
	return o, nil
}

func unknownOr(id credentials.ID, err error) error {
	if fault.Is(err, fault.NotFound) {
		return credentials.Unknown(id)
	}
	return err
}

// setState stores a state if the record is still at seen's revision; otherwise it does nothing.
func (v *Vault) setState(ctx context.Context, id credentials.ID, seen *opened, s credentials.Status, message string) error {
	if seen.State.Status == s && seen.State.Message == message {
		return nil
	}
	return v.storeState(seen, credentials.State{Status: s, Message: message, Since: v.moment()}, func(state credentials.State) (bool, error) {
		return v.store.SetState(ctx, id, seen.Revision, state)
	})
}

// storeState writes a state and keeps the cache in step.
func (v *Vault) storeState(seen *opened, state credentials.State, write func(credentials.State) (stored bool, err error)) error {
	stored, err := write(state)
	if err == nil && stored && seen.State.NeedsPerson() && !state.NeedsPerson() {
		defer v.connected(seen.ID)
	}
	v.cache.changed(seen.ID, func(o *opened) *opened {
		if err != nil || !stored || o.Revision != seen.Revision {
			return nil
		}
		return o.withState(state)
	})
	return err
}

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
