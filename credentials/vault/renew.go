package vault

import (
	"context"
	"errors"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

const (
	renewTimeout = 30 * time.Second // one renewal with its writes; the token request has 20 s of it
	coolDown     = time.Minute      // after a refusal by the token endpoint
	firstPause   = time.Second      // after a failure that may pass; doubles up to coolDown
)

// renewals makes sure that any number of callers cause one token request (promise P7). Its
// zero value is ready.
type renewals struct {
	mu   sync.Mutex
	byID map[credentials.ID]*renewal
}

// renewal is what is known of the token of one credential.
type renewal struct {
	held    *cachedToken   // as last stored; nil: not read yet
	flight  *flight // a renewal under way
	failure failure
	unsaved *cachedToken // got from the provider, but the store could not be written
}

// flight is one renewal under way and, after done is closed, its result.
type flight struct {
	done chan struct{}
	held *cachedToken
	err  error
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
func (r *renewal) hold(h *cachedToken) {
	if r.held != nil && r.held.generation > h.generation {
		return
	}
	r.held = h
	if h.generation > r.failure.generation {
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

func (r *renewals) get(id credentials.ID) *cachedToken {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(id).held
}

// put remembers what the store holds; an older generation never replaces a newer one.
func (r *renewals) put(id credentials.ID, h *cachedToken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(id).hold(h)
}

// failing reports whether the last renewal by o's configuration failed.
func (r *renewals) failing(o *opened) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.of(o.ID).failure
	return f.err != nil && f.grant == o.grant
}

func (r *renewals) forget(id credentials.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

// token returns a token that can be used now. It renews one that is about to end; when that
// fails, the present one is used as long as it lasts.
func (ts *Tokens) token(ctx context.Context, o *opened) (*cachedToken, error) {
	h := ts.renewals.get(o.ID)
	if !h.fits(o) || o.State.Status == credentials.NeedsConnect || ts.renewals.outdated(o) {
		var err error
		if h, _, err = ts.readToken(ctx, o.ID); err != nil {
			return nil, err
		}
		ts.renewals.put(o.ID, h)
	}
	now := ts.now()
	if h.fits(o) && !h.Due(now, h.untilEnd) {
		return h, nil
	}
	next, err := ts.renew(ctx, o, h.generation, planned)
	if err != nil && h.fits(o) && !h.Expired(now) && ctx.Err() == nil {
		return h, nil
	}
	return next, err
}

// cause is why a token is renewed.
type cause int

const (
	planned   cause = iota // it ends, or there is none
	byRule                 // an answer said that it was refused
	byRequest              // a person asked: no pause applies
)

// renew returns a token newer than generation used. Whoever comes while a renewal is under
// way shares it; whoever failed with a token that was replaced meanwhile gets the new one.
func (ts *Tokens) renew(ctx context.Context, o *opened, used int64, why cause) (*cachedToken, error) {
	for range 3 {
		h, f, err := ts.join(ctx, o, used, why)
		if h != nil || err != nil {
			return h, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err != nil {
			return nil, f.err
		}
		if f.held.generation > used && f.held.fits(o) {
			return f.held, nil
		}
	}
	return nil, o.failed(egress.CodeNetwork, nil, "the credential %q changes faster than tokens can be got for it; try again", o.ID)
}

// join returns a token or an error that is known already, else the flight to wait for.
func (ts *Tokens) join(ctx context.Context, o *opened, used int64, why cause) (*cachedToken, *flight, error) {
	now := ts.now()
	ts.renewals.mu.Lock()
	defer ts.renewals.mu.Unlock()
	r := ts.renewals.of(o.ID)
	if r.held != nil && r.held.generation > used && r.held.fits(o) {
		return r.held, nil, nil
	}
	if r.flight != nil {
		return nil, r.flight, nil
	}
	if why == byRule && r.held.fits(o) && now.Before(r.held.restUntil) {
		return r.held, nil, nil
	}
	if f := r.failure; why != byRequest && f.err != nil && f.grant == o.grant && f.generation >= used && now.Before(f.until) {
		return nil, nil, f.err
	}
	r.flight = &flight{done: make(chan struct{})}
	go ts.fly(context.WithoutCancel(ctx), o, used, r.flight)
	return nil, r.flight, nil
}

// fly renews for everyone who waits; it does not end with the caller who began it.
func (ts *Tokens) fly(ctx context.Context, o *opened, used int64, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, leaseWait+renewTimeout)
	defer cancel()
	f.held, f.err = ts.obtain(ctx, o, used)
	ts.renewals.mu.Lock()
	defer ts.renewals.mu.Unlock()
	r := ts.renewals.of(o.ID)
	r.flight = nil
	if f.err == nil {
		r.failure = failure{}
		r.hold(f.held)
	} else {
		r.failure = ts.pauseAfter(o, used, r.failure, f.err)
	}
	close(f.done)
}

func (ts *Tokens) pauseAfter(o *opened, used int64, last failure, err error) failure {
	next := failure{err: err, generation: used, grant: o.grant}
	switch e, ok := errors.AsType[*oauth.Error](err); {
	case !ok: // the provider was not asked
	case e.Kind != oauth.Transient:
		next.pause = coolDown
	default:
		next.pause = firstPause
		if last.grant == o.grant && last.pause > 0 {
			next.pause = min(2*last.pause, coolDown)
		}
		next.pause = max(next.pause, min(e.RetryAfter, coolDown))
	}
	next.until = ts.now().Add(next.pause)
	return next
}
