// Package decrypted is the one place that decrypts credentials. It opens a record, one field at a
// time, each bound to its place by its associated data; checks that the record says what was
// written; caches what is decrypted; and seals what is new.
//
// Its [Credential] holds secrets in clear and never leaves credentials/. The package must not
// know who asks, what a secret is used for, or how requests are sent.
package decrypted

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

// Open returns the credential as it is now: every edit that had returned before the call is
// seen, in every process (promise P1). It is *Error credential_unknown when missing.
//
// When this process alone changes the store, the cache is right by itself: an edit drops its
// entry before it returns. When others may change it too, each call checks the revision by a
// read that starts after the call.
func (rd *Reader) Open(ctx context.Context, id credentials.ID) (*Credential, error) {
	o := rd.cache.get(id)
	if rd.records.Shared() {
		stamp, err := rd.stamp(ctx, id)
		if err != nil {
			return nil, UnknownOr(id, err)
		}
		if o != nil && o.Revision == stamp.Revision {
			if o.State == stamp.State {
				return o, nil
			}
			o = o.WithState(stamp.State)
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

func (rd *Reader) load(ctx context.Context, id credentials.ID) (*Credential, error) {
	epoch := rd.cache.begin()
	r, err := rd.records.Get(ctx, id)
	if err != nil {
		return nil, UnknownOr(id, err)
	}
	o, broken, err := rd.sealer.unseal(r)
	if err != nil {
		return nil, err
	}
	if len(broken) > 0 {
		return nil, Damaged(id, broken)
	}
	rd.cache.put(o, epoch)
	return o, nil
}

// UnknownOr is err, or the error of a use when err says that the credential does not exist.
func UnknownOr(id credentials.ID, err error) error {
	if fault.Is(err, fault.NotFound) {
		return credentials.Unknown(id)
	}
	return err
}

// Stated keeps the cache in step with a write of a state. Without success, what is cached may be
// wrong.
func (rd *Reader) Stated(seen *Credential, state credentials.State, stored bool) {
	rd.cache.changed(seen.ID, func(o *Credential) *Credential {
		if !stored || o.Revision != seen.Revision {
			return nil
		}
		return o.WithState(state)
	})
}

// Changed drops what is cached of a credential; call it after every attempt to change one, before
// the change counts as done (promise P1).
func (rd *Reader) Changed(id credentials.ID) { rd.cache.changed(id, nil) }

// cache holds decrypted credentials by id. Its zero value is empty.
type cache struct {
	mu      sync.RWMutex
	epoch   uint64 // counts changes; what was read in an earlier epoch is not kept
	entries map[credentials.ID]*Credential
}

func (c *cache) get(id credentials.ID) *Credential {
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
func (c *cache) put(o *Credential, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if c.entries == nil {
		c.entries = make(map[credentials.ID]*Credential)
	}
	c.entries[o.ID] = o
}

// changed drops id after an attempt to change it, also a failed one: an error does not say
// whether the transaction was committed. keep may return what to hold instead; nil is nothing.
func (c *cache) changed(id credentials.ID, keep func(o *Credential) *Credential) {
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
