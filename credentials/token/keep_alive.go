package token

import (
	"context"
	"time"

	"keyflow/credentials"
)

const (
	idleCheck = 10 * time.Minute // how often tokens of idle credentials are checked
	idlePage  = 200
)

// ServeIdle keeps idle credentials alive until ctx is done.
func (ts *Tokens) ServeIdle(ctx context.Context) {
	ticker := time.NewTicker(idleCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := ts.KeepAlive(ctx); err != nil {
				ts.Log.WarnContext(ctx, "idle credentials not kept alive", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// KeepAlive renews the tokens of connected credentials that nobody renewed for their
// keep_alive. With several processes each token is renewed once, as always.
func (ts *Tokens) KeepAlive(ctx context.Context) error {
	for after := credentials.ID(""); ; {
		page, err := ts.Records.List(ctx, credentials.Filter{KeptAlive: true, After: after, Limit: idlePage})
		if err != nil {
			return err
		}
		for _, r := range page {
			text, _ := r.Fields["keep_alive"].(string)
			if every, err := credentials.ParseDuration(text); err == nil {
				ts.keepOne(ctx, r.ID, every)
			}
		}
		if len(page) < idlePage || ctx.Err() != nil {
			return ctx.Err()
		}
		after = page[len(page)-1].ID
	}
}

// keepOne renews a token older than every. A refusal becomes the credential's state.
func (ts *Tokens) keepOne(ctx context.Context, id credentials.ID, every time.Duration) {
	o, err := ts.Reader.Open(ctx, id)
	if err == nil && (o.State.Status == credentials.NeedsConnect || o.State.Status == credentials.NeedsReconnect) {
		return
	}
	var h *Cached
	if err == nil {
		h, _, err = ts.Read(ctx, id)
	}
	if err == nil && h.Fits(o) && h.Refresh.IsSet() && ts.Now().Sub(h.ObtainedAt) >= every {
		ts.Renewals.put(id, h)
		_, err = ts.Renew(ctx, o, h.Generation, planned)
	}
	if err != nil && ctx.Err() == nil {
		ts.Log.WarnContext(ctx, "idle credential not kept alive", "credential", id, "error", err)
	}
}
