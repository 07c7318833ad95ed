package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

const (
	leaseLife  = time.Minute // more than a renewal takes: nobody renews beside it
	leaseWait  = oauth.Timeout + time.Second
	leasePoll  = 25 * time.Millisecond // doubles up to eight times that
	storeTries = 5
	storePause = 50 * time.Millisecond // doubles with each try
)

// obtain makes one token request unless a newer token than used is stored already.
func (v *Vault) obtain(ctx context.Context, o *opened, used int64) (*held, error) {
	newer, err := v.lease(ctx, o, used)
	if newer != nil || err != nil {
		return newer, err
	}
	defer v.release(ctx, o.ID)
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	before, interrupted, err := v.readToken(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	if before.generation > used && before.fits(o) {
		return before, nil
	}
	if saved, err := v.saveLate(ctx, o, before); saved != nil || err != nil {
		return saved, err
	}
	full, err := v.resolved(ctx, o)
	if err != nil {
		return nil, err
	}
	next, err := v.ask(ctx, full, before)
	if err == nil {
		if o.State.Status == credentials.NeedsReconnect {
			v.report(ctx, o, credentials.OK, "")
		}
		return next, nil
	}
	// Someone else may have spent the refresh token first: the newer token is the current one then.
	if now, _, readErr := v.readToken(ctx, o.ID); readErr == nil && now.generation > before.generation && now.fits(o) {
		return now, nil
	}
	return nil, v.refusedToken(ctx, o, attempt{before.generation, interrupted, err})
}

// ask makes the token request and stores its answer.
func (v *Vault) ask(ctx context.Context, o *opened, before *held) (*held, error) {
	token, err := v.request(ctx, o, before)
	if err != nil {
		return nil, err
	}
	next := v.successor(o, before, token)
	return next, v.storeToken(ctx, o, before, next)
}

// lease gets the right to renew, among the processes that share the store. While another has
// it, its result is awaited; newer is what it stored. A process that died with the right keeps
// it for the rest of the minute: callers are told to come back.
func (v *Vault) lease(ctx context.Context, o *opened, used int64) (newer *held, err error) {
	if !v.store.Shared() {
		return nil, nil
	}
	begun := time.Now()
	for pause := leasePoll; ; pause = min(2*pause, 8*leasePoll) {
		left, err := v.tokens.Lease(ctx, o.ID, v.process, leaseLife, v.now())
		if err != nil {
			return nil, unknownOr(o.ID, err)
		}
		if left == 0 {
			return nil, nil
		}
		if time.Since(begun) > leaseWait {
			e := o.failed(egress.CodeNetwork, nil, "another process has been renewing the token of credential %q for long; it is tried again when its time is over", o.ID)
			e.Until = v.now().Add(left)
			return nil, e
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		h, _, err := v.readToken(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		if h.generation > used && h.fits(o) {
			return h, nil
		}
	}
}

func (v *Vault) release(ctx context.Context, id credentials.ID) {
	if !v.store.Shared() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := v.tokens.Release(ctx, id, v.process); err != nil {
		v.log.WarnContext(ctx, "renewal of a token not given up; it ends by itself", "credential", id, "error", err)
	}
}

// request asks the provider. That it was asked is stored first, so that a successor after a
// crash knows that a one-time refresh token may be spent.
func (v *Vault) request(ctx context.Context, o *opened, before *held) (oauth.Token, error) {
	if o.Text("grant_type") == authtype.ClientCredentials {
		return v.oauthClient().ClientCredentials(ctx, v.oauthConfig(o))
	}
	if !before.fits(o) {
		return oauth.Token{}, errNotConnected
	}
	if !before.Refresh.IsSet() {
		return oauth.Token{}, errNoRefreshToken
	}
	row, err := v.sealToken(o.ID, before, v.moment())
	if err != nil {
		return oauth.Token{}, err
	}
	noted, err := v.tokens.SwapToken(ctx, row, before.generation)
	if err != nil {
		return oauth.Token{}, fmt.Errorf("note renewal of credential %q: %w", o.ID, err)
	}
	if !noted {
		return oauth.Token{}, o.replaced()
	}
	return v.oauthClient().Refresh(ctx, v.oauthConfig(o), before.Refresh)
}

var (
	errNotConnected   = errors.New("not connected")
	errNoRefreshToken = errors.New("the provider gave no refresh token")
)

// storeToken stores next before anyone uses it. The provider may have spent the old refresh
// token, so a failing store is tried again, and at last the token is kept for the next renewal.
func (v *Vault) storeToken(ctx context.Context, o *opened, before, next *held) error {
	row, err := v.sealToken(o.ID, next, time.Time{})
	if err != nil {
		return err
	}
	stored := false
	for try := range storeTries {
		if stored, err = v.tokens.SwapToken(ctx, row, before.generation); err == nil {
			break
		}
		select {
		case <-time.After(storePause << try):
		case <-ctx.Done():
		}
	}
	if err != nil {
		v.renewals.mu.Lock()
		v.renewals.of(o.ID).unsaved = next
		v.renewals.mu.Unlock()
		return fmt.Errorf("store token of credential %q: %w", o.ID, err)
	}
	if !stored {
		return o.replaced()
	}
	return nil
}

func (o *opened) replaced() *credentials.Error {
	return o.failed(egress.CodeNetwork, nil, "the token of credential %q was replaced while it was renewed; try again", o.ID)
}

// saveLate stores a token that could not be stored when it was got.
func (v *Vault) saveLate(ctx context.Context, o *opened, before *held) (*held, error) {
	v.renewals.mu.Lock()
	late := v.renewals.of(o.ID).unsaved
	v.renewals.of(o.ID).unsaved = nil
	v.renewals.mu.Unlock()
	if !late.fits(o) || late.generation != before.generation+1 {
		return nil, nil
	}
	return late, v.storeToken(ctx, o, before, late)
}
