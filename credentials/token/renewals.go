package token

import (
	"errors"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
)

// renewals coalesces token requests: any number of callers cause one (promise P7). Its
// zero value is ready.
type renewals struct {
	mu   sync.Mutex
	byID map[credentials.ID]*renewal
}

// renewal is what is known of the token of one credential.
type renewal struct {
	current *Cached // as last stored; nil: not read yet
	flight  *flight // a renewal under way
	failure failure
	unsaved *Cached // got from the provider, but the store could not be written
}

// flight is one renewal under way and, after done is closed, its result.
type flight struct {
	done   chan struct{}
	result *Cached
	err    error
}

// failure says why the last renewal failed. Until a time it is the answer to further ones, so
// that a failing provider is not asked by every request.
type failure struct {
	err        error
	generation int64
	grant      int64
	until      time.Time
	pause      time.Duration
}

// hold keeps h unless a newer token is known. A new token ends the rest after a failure.
func (r *renewal) hold(h *Cached) {
	if r.current != nil && r.current.Generation > h.Generation {
		return
	}
	r.current = h
	if h.Generation > r.failure.generation {
		r.failure = failure{}
	}
}

func (r *renewals) of(id credentials.ID) *renewal {
	if r.byID == nil {
		r.byID = make(map[credentials.ID]*renewal)
	}
	if r.byID[id] == nil {
		r.byID[id] = &renewal{}
	}
	return r.byID[id]
}

func (r *renewals) get(id credentials.ID) *Cached {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(id).current
}

// put remembers what the store holds; an older generation never replaces a newer one.
func (r *renewals) put(id credentials.ID, h *Cached) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(id).hold(h)
}

// Failing reports whether the last renewal by o's configuration failed.
func (r *renewals) Failing(o *decrypted.Credential) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.of(o.ID).failure
	return f.err != nil && f.grant == o.Grant
}

func (r *renewals) forget(id credentials.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

// outdated reports whether the last renewal here ended in the wish that a person connects the
// credential, and somebody has done so since, perhaps in another process.
func (r *renewals) outdated(o *decrypted.Credential) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := errors.AsType[*credentials.Error](r.of(o.ID).failure.err)
	return ok && e.Code == credentials.CodeNeedsConnect && !o.State.NeedsPerson()
}
