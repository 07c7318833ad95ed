// Package token owns the life of OAuth tokens: obtain one, renew it before it ends, one process at
// a time under a lease, keep idle ones alive, and connect a credential with a person's consent.
//
//	no token ── Connect, Callback ──► current ──► due ── lease, renew, store ──► current
//	                                                └─ refused ──► needs a person
//
// The protocol is that of package oauth. It must not know how a token is attached to a request.
package token

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/oauth"
	"keyflow/internal/secret"
)

// Tokens keeps the tokens of credentials: it obtains them, renews them, one process at a time,
// and keeps idle ones alive. It is safe for concurrent use.
type Tokens struct {
	Store    credentials.TokenStore
	Records  credentials.Store
	Sealer   *decrypted.Sealer
	Reader   *decrypted.Reader
	States   *status.States
	Provider *Provider
	Process  string // names this process in leases
	Now      func() time.Time
	Log      *slog.Logger

	Renewals renewals
}

// Read reads the token state from the store. interrupted says that a renewal of it was
// begun and not finished. Without a token the result holds the generation alone.
func (ts *Tokens) Read(ctx context.Context, id credentials.ID) (h *Cached, interrupted bool, err error) {
	row, err := ts.Store.Token(ctx, id)
	if err != nil {
		return nil, false, fmt.Errorf("read token of credential %q: %w", id, err)
	}
	h = &Cached{Generation: row.Generation, Grant: row.Grant}
	if row.Sealed == nil {
		return h, false, nil
	}
	text, err := ts.Sealer.OpenTokenText(id, row.Generation, row.Sealed)
	if err != nil {
		return nil, false, decrypted.Damaged(id, map[string]error{"token": err})
	}
	var t storedToken
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, false, decrypted.Damaged(id, map[string]error{"token": err})
	}
	h.Token = oauth.Token{Access: secret.New(t.Access), Scope: t.Scope, ObtainedAt: t.ObtainedAt, Expiry: t.Expiry}
	if t.Refresh != nil {
		h.Refresh = secret.New(*t.Refresh)
	}
	h.Grant, h.untilEnd, h.restUntil = t.Grant, t.UntilEnd, t.RestUntil
	return h, !row.RenewalStarted.IsZero(), nil
}

func (ts *Tokens) sealToken(id credentials.ID, h *Cached, started time.Time) (credentials.Token, error) {
	row := credentials.Token{Credential: id, Generation: h.Generation, Grant: h.Grant, RenewalStarted: started}
	if !h.Access.IsSet() {
		return row, nil
	}
	t := storedToken{
		Grant: h.Grant, Access: h.Access.Reveal(), Scope: h.Scope, ObtainedAt: h.ObtainedAt, Expiry: h.Expiry,
		UntilEnd: h.untilEnd, RestUntil: h.restUntil,
	}
	if h.Refresh.IsSet() {
		refresh := h.Refresh.Reveal()
		t.Refresh = &refresh
	}
	text, err := json.Marshal(t)
	if err != nil {
		return row, err
	}
	row.Sealed, err = ts.Sealer.SealTokenText(id, h.Generation, text)
	return row, err
}

// successor is the state after token was got while before was the current one.
func (ts *Tokens) successor(o *decrypted.Credential, before *Cached, token oauth.Token) *Cached {
	next := &Cached{Token: token, Generation: before.Generation + 1, Grant: o.Grant}
	if before.Fits(o) && before.Access.Equal(token.Access) {
		next.untilEnd, next.restUntil = true, ts.Now().Add(sameTokenRest)
	}
	return next
}
