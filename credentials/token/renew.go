package token

import (
	"context"
	"errors"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

const (
	renewTimeout = 30 * time.Second // one renewal with its writes; the token request has 20 s of it
	coolDown     = time.Minute      // after a refusal by the token endpoint
	firstPause   = time.Second      // after a failure that may pass; doubles up to coolDown
)

// Get returns a token that can be used now. It renews one that is about to end; when that
// fails, the present one is used as long as it lasts.
func (ts *Tokens) Get(ctx context.Context, o *decrypted.Credential) (*Cached, error) {
	h := ts.Renewals.get(o.ID)
	if !h.Fits(o) || o.State.Status == credentials.NeedsConnect || ts.Renewals.outdated(o) {
		var err error
		if h, _, err = ts.Read(ctx, o.ID); err != nil {
			return nil, err
		}
		ts.Renewals.put(o.ID, h)
	}
	now := ts.Now()
	if h.Fits(o) && !h.Due(now, h.untilEnd) {
		return h, nil
	}
	next, err := ts.Renew(ctx, o, h.Generation, planned)
	if err != nil && h.Fits(o) && !h.Expired(now) && ctx.Err() == nil {
		return h, nil
	}
	return next, err
}

// Cause is why a token is renewed.
type Cause int

// The causes of a renewal.
const (
	planned   Cause = iota // it ends, or there is none
	ByRule                 // an answer said that it was refused
	byRequest              // a person asked: no pause applies
)

// Renew returns a token newer than generation used. Whoever comes while a renewal is under
// way shares it; whoever failed with a token that was replaced meanwhile gets the new one.
func (ts *Tokens) Renew(ctx context.Context, o *decrypted.Credential, used int64, why Cause) (*Cached, error) {
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
		if f.result.Generation > used && f.result.Fits(o) {
			return f.result, nil
		}
	}
	return nil, o.Failed(egress.CodeNetwork, nil, "the credential %q changes faster than tokens can be got for it; try again", o.ID)
}

// join returns a token or an error that is known already, else the flight to wait for.
func (ts *Tokens) join(ctx context.Context, o *decrypted.Credential, used int64, why Cause) (*Cached, *flight, error) {
	now := ts.Now()
	ts.Renewals.mu.Lock()
	defer ts.Renewals.mu.Unlock()
	r := ts.Renewals.of(o.ID)
	if r.current != nil && r.current.Generation > used && r.current.Fits(o) {
		return r.current, nil, nil
	}
	if r.flight != nil {
		return nil, r.flight, nil
	}
	if why == ByRule && r.current.Fits(o) && now.Before(r.current.restUntil) {
		return r.current, nil, nil
	}
	if f := r.failure; why != byRequest && f.err != nil && f.grant == o.Grant && f.generation >= used && now.Before(f.until) {
		return nil, nil, f.err
	}
	r.flight = &flight{done: make(chan struct{})}
	go ts.fly(context.WithoutCancel(ctx), o, used, r.flight)
	return nil, r.flight, nil
}

// fly renews for everyone who waits; it does not end with the caller who began it.
func (ts *Tokens) fly(ctx context.Context, o *decrypted.Credential, used int64, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, leaseWait+renewTimeout)
	defer cancel()
	f.result, f.err = ts.obtain(ctx, o, used)
	ts.Renewals.mu.Lock()
	defer ts.Renewals.mu.Unlock()
	r := ts.Renewals.of(o.ID)
	r.flight = nil
	if f.err == nil {
		r.failure = failure{}
		r.hold(f.result)
	} else {
		r.failure = ts.pauseAfter(o, used, r.failure, f.err)
	}
	close(f.done)
}

func (ts *Tokens) pauseAfter(o *decrypted.Credential, used int64, last failure, err error) failure {
	next := failure{err: err, generation: used, grant: o.Grant}
	switch e, ok := errors.AsType[*oauth.Error](err); {
	case !ok: // the provider was not asked
	case e.Kind != oauth.Transient:
		next.pause = coolDown
	default:
		next.pause = firstPause
		if last.grant == o.Grant && last.pause > 0 {
			next.pause = min(2*last.pause, coolDown)
		}
		next.pause = max(next.pause, min(e.RetryAfter, coolDown))
	}
	next.until = ts.Now().Add(next.pause)
	return next
}

// Forget drops what is known of the token of a credential that is gone.
func (ts *Tokens) Forget(id credentials.ID) { ts.Renewals.forget(id) }

// RenewNow renews on a person's request.
func (ts *Tokens) RenewNow(ctx context.Context, o *decrypted.Credential) (*Cached, error) {
	before, _, err := ts.Read(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	ts.Renewals.put(o.ID, before)
	return ts.Renew(ctx, o, before.Generation, byRequest)
}
