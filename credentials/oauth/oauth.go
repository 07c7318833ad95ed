// Package oauth asks OAuth 2.0 authorization servers for tokens (RFC 6749, RFC 7636).
//
// It is the only importer of golang.org/x/oauth2. What that library cannot do sits in one
// http.RoundTripper underneath it: [tokenCall] rewrites the token request (method, body
// form, extra parameters, client authentication) and turns whatever the provider answers
// into what the library parses.
//
// The package turns a Config into a Token or a classified *Error and keeps nothing: it must
// not know credentials, stores, renewal policy or who asks.
package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"keyflow/internal/secret"
)

// Timeout bounds one token request from dial to the end of the answer.
const Timeout = 20 * time.Second

// ClientAuth says where the client's id and secret go in a token request.
type ClientAuth string

// The ways of client authentication. The way is always explicit and never probed: a failed
// first try can spend a one-time code.
const (
	AuthHeader ClientAuth = "header" // Basic, both parts form-encoded (RFC 6749 section 2.3.1)
	AuthBody   ClientAuth = "body"
	AuthQuery  ClientAuth = "query"
	AuthNone   ClientAuth = "none" // public client: client_id alone
	// AuthAssertion sends what Config.Assertion makes (RFC 7523 section 2.2).
	AuthAssertion ClientAuth = "private_key_jwt"
)

// Config is one client registration at one provider. Zero values mean the standard:
// POST, form body, header authentication, names of RFC 6749 in the answer.
type Config struct {
	AuthorizationURL string
	TokenURL         string
	RefreshURL       string // "" is TokenURL
	RedirectURL      string
	ClientID         string
	ClientSecret     secret.Text
	Scope            string // space-separated
	ScopeSeparator   string // "" is a space
	ClientAuth       ClientAuth
	PKCE             bool // S256 (RFC 7636)
	// Assertion makes the client's proof for one request to a token URL; for AuthAssertion.
	Assertion func(tokenURL string) (string, error)

	Method          string // POST (default) or GET
	Body            string // form (default) or json
	AuthorizeParams map[string]string
	TokenParams     map[string]string // of the code exchange and of client credentials
	RefreshParams   map[string]string
	Headers         map[string]string

	// Transport, when not nil, is used instead of the Client's: it shows the client's certificate.
	Transport http.RoundTripper

	// Dotted paths into the token answer; "" is the name of RFC 6749 section 5.1.
	AccessTokenPath  string
	RefreshTokenPath string
	ExpiresInPath    string
	// ExpiresInUnit is the unit of expires_in; 0 is a second.
	ExpiresInUnit time.Duration
	// DefaultLifetime counts when the answer states none; 0 is unknown.
	DefaultLifetime time.Duration
}

// Client sends token requests. Its methods are safe for concurrent use; every error is an *Error.
type Client struct {
	Transport http.RoundTripper
	Now       func() time.Time
	// Observe, when not nil, is called with every token request and its answer, redacted.
	Observe func(Exchange)
}

// ClientCredentials asks for a token by the client credentials grant (RFC 6749 section 4.4).
func (c *Client) ClientCredentials(ctx context.Context, cfg Config) (Token, error) {
	call := c.call(cfg, cfg.TokenParams)
	conf := clientcredentials.Config{
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret.Reveal(),
		TokenURL:     cfg.TokenURL,
		Scopes:       cfg.scopes(),
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	return call.run(ctx, conf.Token)
}

// Exchange spends an authorization code (RFC 6749 section 4.1.3). verifier is the PKCE code
// verifier of the same attempt, "" without PKCE.
func (c *Client) Exchange(ctx context.Context, cfg Config, code, verifier string) (Token, error) {
	call := c.call(cfg, cfg.TokenParams)
	call.hide(code, verifier)
	conf := cfg.library(cfg.TokenURL)
	var options []oauth2.AuthCodeOption
	if verifier != "" {
		options = append(options, oauth2.VerifierOption(verifier))
	}
	return call.run(ctx, func(ctx context.Context) (*oauth2.Token, error) {
		return conf.Exchange(ctx, code, options...)
	})
}

// Refresh asks for a new access token (RFC 6749 section 6). When the answer holds no refresh
// token the returned Token keeps the one given.
func (c *Client) Refresh(ctx context.Context, cfg Config, refresh secret.Text) (Token, error) {
	call := c.call(cfg, cfg.RefreshParams)
	call.hide(refresh.Reveal())
	endpoint := cfg.RefreshURL
	if endpoint == "" {
		endpoint = cfg.TokenURL
	}
	conf := cfg.library(endpoint)
	return call.run(ctx, func(ctx context.Context) (*oauth2.Token, error) {
		return conf.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh.Reveal()}).Token()
	})
}

// ConsentURL is where the browser is sent for consent (RFC 6749 section 4.1.1).
func (cfg Config) ConsentURL(state, verifier string) string {
	var options []oauth2.AuthCodeOption
	for name, value := range cfg.AuthorizeParams {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	if verifier != "" {
		options = append(options, oauth2.S256ChallengeOption(verifier))
	}
	return cfg.library(cfg.TokenURL).AuthCodeURL(state, options...)
}

// NewSecret returns 32 random bytes as URL-safe text: a state or a PKCE code verifier.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (cfg Config) library(tokenURL string) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret.Reveal(),
		RedirectURL:  cfg.RedirectURL,
		Scopes:       cfg.scopes(),
		Endpoint: oauth2.Endpoint{
			AuthURL: cfg.AuthorizationURL, TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// scopes is one element, because the library joins with spaces and providers differ.
func (cfg Config) scopes() []string {
	words := strings.Fields(cfg.Scope)
	if len(words) == 0 {
		return nil
	}
	separator := cfg.ScopeSeparator
	if separator == "" {
		separator = " "
	}
	return []string{strings.Join(words, separator)}
}

// Exchange is one token request and its answer as a person may see them: values that are
// secret, and answer values whose meaning is unknown, are replaced.
type Exchange struct {
	Method   string            `json:"method"`
	URL      string            `json:"url"`
	Headers  map[string]string `json:"headers"`
	Params   map[string]string `json:"params"`
	Status   int               `json:"status,omitempty"` // 0 without an answer
	Date     string            `json:"date,omitempty"`   // the provider's clock
	Type     string            `json:"content_type,omitempty"`
	Answer   map[string]any    `json:"answer,omitempty"`
	Lifetime string            `json:"lifetime,omitempty"`
}

func safeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "***"
	}
	u.User = nil
	return u.String()
}
