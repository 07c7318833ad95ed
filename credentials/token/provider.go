package token

import (
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/certificate"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/oauth"
	"keyflow/internal/secret"
)

// Provider asks OAuth providers for tokens.
type Provider struct {
	Transport    http.RoundTripper
	RedirectURL  string
	Certificates *certificate.Certificates
	Now          func() time.Time
}

// Config reads the fields of an oauth2 credential.
func (p *Provider) Config(o *decrypted.Credential) oauth.Config {
	cfg := oauth.Config{
		AuthorizationURL: o.Text("authorization_url"),
		TokenURL:         o.Text("access_token_url"),
		RefreshURL:       o.Text("refresh_url"),
		RedirectURL:      p.RedirectURL,
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
	cfg.Transport = p.Certificates.TokenRoute(o)
	cfg.Assertion = func(tokenURL string) (string, error) { return authtype.Assertion(&o.Values, tokenURL, p.Now()) }
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

// Client returns a client of the protocol.
func (p *Provider) Client() *oauth.Client {
	return &oauth.Client{Transport: p.Transport, Now: p.Now}
}
