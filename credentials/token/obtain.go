package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

const (
	leaseLife      = time.Minute // more than a renewal takes: nobody renews beside it
	leaseWait      = oauth.Timeout + time.Second
	leasePoll      = 25 * time.Millisecond // doubles up to eight times that
	storeTries     = 5
	releaseTimeout = 5 * time.Second
	storePause     = 50 * time.Millisecond // doubles with each try
)

// obtain makes one token request unless a newer token than used is stored already.
func (ts *Tokens) obtain(ctx context.Context, o *decrypted.Credential, used int64) (*Cached, error) {
	newer, err := ts.lease(ctx, o, used)
	if newer != nil || err != nil {
		return newer, err
	}
	defer ts.release(ctx, o.ID)
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	before, interrupted, err := ts.Read(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	if before.Generation > used && before.Fits(o) {
		return before, nil
	}
	if saved, err := ts.saveLate(ctx, o, before); saved != nil || err != nil {
		return saved, err
	}
	full, err := ts.Reader.Resolved(ctx, o)
	if err != nil {
		return nil, err
	}
	next, err := ts.ask(ctx, full, before)
	if err == nil {
		if o.State.Status == credentials.NeedsReconnect {
			ts.States.Report(ctx, o, credentials.OK, "")
		}
		return next, nil
	}
	// Someone else may have spent the refresh token first: the newer token is the current one then.
	if now, _, readErr := ts.Read(ctx, o.ID); readErr == nil && now.Generation > before.Generation && now.Fits(o) {
		return now, nil
	}
	return nil, ts.refusedToken(ctx, o, attempt{before.Generation, interrupted, err})
}

// ask makes the token request and stores its answer.
func (ts *Tokens) ask(ctx context.Context, o *decrypted.Credential, before *Cached) (*Cached, error) {
	token, err := ts.request(ctx, o, before)
	if err != nil {
		return nil, err
	}
	next := ts.successor(o, before, token)
	return next, ts.storeToken(ctx, o, before, next)
}

// lease gets the right to renew, among the processes that share the store. While another has
// it, its result is awaited; newer is what it stored. A process that died with the right keeps
// it for the rest of the minute: callers get an error with Until.
func (ts *Tokens) lease(ctx context.Context, o *decrypted.Credential, used int64) (newer *Cached, err error) {
	if !ts.Records.Shared() {
		return nil, nil
	}
	begun := time.Now()
	for pause := leasePoll; ; pause = min(2*pause, 8*leasePoll) {
		left, err := ts.Store.Lease(ctx, o.ID, ts.Process, leaseLife, ts.Now())
		if err != nil {
			return nil, decrypted.UnknownOr(o.ID, err)
		}
		if left == 0 {
			return nil, nil
		}
		if time.Since(begun) > leaseWait {
			e := o.Failed(egress.CodeNetwork, nil, "another process has been renewing the token of credential %q for long; it is tried again when its time is over", o.ID)
			e.Until = ts.Now().Add(left)
			return nil, e
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		h, _, err := ts.Read(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		if h.Generation > used && h.Fits(o) {
			return h, nil
		}
	}
}

func (ts *Tokens) release(ctx context.Context, id credentials.ID) {
	if !ts.Records.Shared() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := ts.Store.Release(ctx, id, ts.Process); err != nil {
		ts.Log.WarnContext(ctx, "renewal of a token not given up; it ends by itself", "credential", id, "error", err)
	}
}

// request asks the provider. That it was asked is stored first, so that a successor after a
// crash knows that a one-time refresh token may be spent.
func (ts *Tokens) request(ctx context.Context, o *decrypted.Credential, before *Cached) (oauth.Token, error) {
	if o.Text("grant_type") == authtype.ClientCredentials {
		return ts.Provider.Client().ClientCredentials(ctx, ts.Provider.Config(o))
	}
	if !before.Fits(o) {
		return oauth.Token{}, errNotConnected
	}
	if !before.Refresh.IsSet() {
		return oauth.Token{}, errNoRefreshToken
	}
	row, err := ts.sealToken(o.ID, before, credentials.Moment(ts.Now()))
	if err != nil {
		return oauth.Token{}, err
	}
	noted, err := ts.Store.SwapToken(ctx, row, before.Generation)
	if err != nil {
		return oauth.Token{}, fmt.Errorf("note renewal of credential %q: %w", o.ID, err)
	}
	if !noted {
		return oauth.Token{}, replaced(o)
	}
	return ts.Provider.Client().Refresh(ctx, ts.Provider.Config(o), before.Refresh)
}

var (
	errNotConnected   = errors.New("not connected")
	errNoRefreshToken = errors.New("the provider gave no refresh token")
)
