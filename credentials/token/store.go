package token

import (
	"context"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// storeToken stores next before anyone uses it. The provider may have spent the old refresh
// token, so a failing store is tried again, and at last the token is kept for the next renewal.
func (ts *Tokens) storeToken(ctx context.Context, o *decrypted.Credential, before, next *Cached) error {
	row, err := ts.sealToken(o.ID, next, time.Time{})
	if err != nil {
		return err
	}
	stored := false
	for try := range storeTries {
		if stored, err = ts.Store.SwapToken(ctx, row, before.Generation); err == nil {
			break
		}
		select {
		case <-time.After(storePause << try):
		case <-ctx.Done():
		}
	}
	if err != nil {
		ts.Renewals.mu.Lock()
		ts.Renewals.of(o.ID).unsaved = next
		ts.Renewals.mu.Unlock()
		return fmt.Errorf("store token of credential %q: %w", o.ID, err)
	}
	if !stored {
		return replaced(o)
	}
	return nil
}

// saveLate stores a token that could not be stored when it was got.
func (ts *Tokens) saveLate(ctx context.Context, o *decrypted.Credential, before *Cached) (*Cached, error) {
	ts.Renewals.mu.Lock()
	late := ts.Renewals.of(o.ID).unsaved
	ts.Renewals.of(o.ID).unsaved = nil
	ts.Renewals.mu.Unlock()
	if !late.Fits(o) || late.Generation != before.Generation+1 {
		return nil, nil
	}
	return late, ts.storeToken(ctx, o, before, late)
}

// Put stores a token that a person's sign-in obtained, whatever renewals do meanwhile.
func (ts *Tokens) Put(ctx context.Context, o *decrypted.Credential, token oauth.Token) error {
	for range storeTries {
		before, _, err := ts.Read(ctx, o.ID)
		if err != nil {
			return err
		}
		next := &Cached{Token: token, Generation: before.Generation + 1, Grant: o.Grant}
		row, err := ts.sealToken(o.ID, next, time.Time{})
		if err != nil {
			return err
		}
		stored, err := ts.Store.SwapToken(ctx, row, before.Generation)
		if err != nil {
			return fmt.Errorf("store token of credential %q: %w", o.ID, err)
		}
		if stored {
			ts.Renewals.put(o.ID, next)
			return nil
		}
	}
	return fault.New(fault.Conflict, "the token of credential %q changes all the time; press Connect again", o.ID)
}

func replaced(o *decrypted.Credential) *credentials.Error {
	return o.Failed(egress.CodeNetwork, nil, "the token of credential %q was replaced while it was renewed; try again", o.ID)
}
