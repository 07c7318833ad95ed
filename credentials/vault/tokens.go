package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/oauth"
	"keyflow/internal/secret"
)

// sameTokenRest is how long failure rules cause no renewal after the provider answered one
// with the token that was in use already.
const sameTokenRest = 30 * time.Second

// Provider asks OAuth providers for tokens.
type Provider struct {
	transport    http.RoundTripper
	redirectURL  string
	certificates *Certificates
	now          func() time.Time
}

// Tokens keeps the tokens of credentials: it obtains them, renews them, one process at a time,
// and keeps idle ones alive. It is safe for concurrent use.
type Tokens struct {
	store    credentials.TokenStore
	records  credentials.Store
	sealer   *Sealer
	reader   *Reader
	states   *States
	provider *Provider
	process  string // names this process in leases
	now      func() time.Time
	log      *slog.Logger

	renewals renewals
}

// cachedToken is the token state of one credential, opened. It is immutable.
type cachedToken struct {
	oauth.Token
	generation int64
	grant      int64
	untilEnd   bool      // the provider gave the same token again: use it to its end
	restUntil  time.Time // see sameTokenRest
}

// fits reports whether the token was got by the configuration that o has now.
func (h *cachedToken) fits(o *opened) bool {
	return h != nil && h.Access.IsSet() && h.grant == o.grant
}

// storedToken is the sealed part of a [Token].
type storedToken struct {
	Grant      int64     `json:"grant"` // what counts: the one beside it is not sealed
	Access     string    `json:"access"`
	Refresh    *string   `json:"refresh,omitempty"`
	Scope      string    `json:"scope,omitempty"`
	ObtainedAt time.Time `json:"obtained_at"`
	Expiry     time.Time `json:"expiry,omitzero"`
	UntilEnd   bool      `json:"until_end,omitempty"`
	RestUntil  time.Time `json:"rest_until,omitzero"`
}

// readToken reads the token state from the store. interrupted tells that a renewal of it was
// begun and not finished. Without a token the result holds the generation alone.
func (ts *Tokens) readToken(ctx context.Context, id credentials.ID) (h *cachedToken, interrupted bool, err error) {
	row, err := ts.store.Token(ctx, id)
	if err != nil {
		return nil, false, fmt.Errorf("read token of credential %q: %w", id, err)
	}
	h = &cachedToken{generation: row.Generation, grant: row.Grant}
	if row.Sealed == nil {
		return h, false, nil
	}
	text, err := ts.sealer.openTokenText(id, row.Generation, row.Sealed)
	if err != nil {
		return nil, false, damaged(id, map[string]error{"token": err})
	}
	var t storedToken
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, false, damaged(id, map[string]error{"token": err})
	}
	h.Token = oauth.Token{Access: secret.New(t.Access), Scope: t.Scope, ObtainedAt: t.ObtainedAt, Expiry: t.Expiry}
	if t.Refresh != nil {
		h.Refresh = secret.New(*t.Refresh)
	}
	h.grant, h.untilEnd, h.restUntil = t.Grant, t.UntilEnd, t.RestUntil
	return h, !row.RenewalStarted.IsZero(), nil
}

func (ts *Tokens) sealToken(id credentials.ID, h *cachedToken, started time.Time) (credentials.Token, error) {
	row := credentials.Token{Credential: id, Generation: h.generation, Grant: h.grant, RenewalStarted: started}
	if !h.Access.IsSet() {
		return row, nil
	}
	t := storedToken{
		Grant: h.grant, Access: h.Access.Reveal(), Scope: h.Scope, ObtainedAt: h.ObtainedAt, Expiry: h.Expiry,
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
	row.Sealed, err = ts.sealer.sealTokenText(id, h.generation, text)
	return row, err
}

// successor is the state after token was got while before was the current one.
func (ts *Tokens) successor(o *opened, before *cachedToken, token oauth.Token) *cachedToken {
	next := &cachedToken{Token: token, generation: before.generation + 1, grant: o.grant}
	if before.fits(o) && before.Access.Equal(token.Access) {
		next.untilEnd, next.restUntil = true, ts.now().Add(sameTokenRest)
	}
	return next
}

// oauthConfig reads the fields of an oauth2 credential.
func (p *Provider) oauthConfig(o *opened) oauth.Config {
	cfg := oauth.Config{
		AuthorizationURL: o.Text("authorization_url"),
		TokenURL:         o.Text("access_token_url"),
		RefreshURL:       o.Text("refresh_url"),
		RedirectURL:      p.redirectURL,
		ClientID:         o.Text("client_id"),
		ClientSecret:     secret.New(o.Text("client_secret")),
		Scope:            o.Text("scope"),
		ScopeSeparator:   o.Text("scope_separator"),
		ClientAuth:       oauth.ClientAuth(o.Text("client_authentication")),
		PKCE:             o.Flag("pkce"),
		Method:           o.Text("token_method"),
		Body:             o.Text("token_body"),
		AuthorizeParams:  o.Map("authorize_params"),
		TokenParams:      o.Map("token_params"),
		RefreshParams:    o.Map("refresh_params"),
		Headers:          o.Map("token_headers"),
		AccessTokenPath:  o.Text("access_token_path"),
		RefreshTokenPath: o.Text("refresh_token_path"),
		ExpiresInPath:    o.Text("expires_in_path"),
	}
	cfg.Transport = p.certificates.tokenRoute(o)
	cfg.Assertion = func(tokenURL string) (string, error) { return authtype.Assertion(&o.Values, tokenURL, p.now()) }
	switch o.Text("expires_in_unit") {
	case "milliseconds":
		cfg.ExpiresInUnit = time.Millisecond
	case "minutes":
		cfg.ExpiresInUnit = time.Minute
	case "hours":
		cfg.ExpiresInUnit = time.Hour
	}
	if lifetime, err := credentials.ParseDuration(o.Text("default_lifetime")); err == nil {
		cfg.DefaultLifetime = lifetime
	}
	return cfg
}

func (p *Provider) oauthClient() *oauth.Client {
	return &oauth.Client{Transport: p.transport, Now: p.now}
}
