// Package oauthtest is a real OAuth 2.0 provider for tests: authorization code with PKCE
// (S256), client credentials, rotating refresh tokens with reuse detection, and a protected
// resource that checks the bearer token. It is built on ory/fosite, so that the client is
// tried against an independent reading of the RFCs; product code must not import it.
package oauthtest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

// Options choose what a provider is like. The zero value is a working one.
type Options struct {
	ClientID     string // default "keyflow"
	ClientSecret string // default "oauth-client-secret-01"
	Public       bool   // a client without a secret
	// ClientKey, when set, is the only way in: the client proves itself by private_key_jwt
	// with KeyAlgorithm (RS256, PS256 or ES256).
	ClientKey     crypto.PublicKey
	KeyAlgorithm  string
	Scopes        []string      // allowed; default "read", "write"
	RedirectURIs  []string      // exact; more with AllowRedirect
	TokenLifetime time.Duration // default one hour
	// Consent shows a page with buttons named "allow" and "deny" instead of agreeing at once.
	Consent bool
	// Address is host:port to listen on; default a free port of 127.0.0.1.
	Address string
}

// Server is a running provider. Its methods are safe for concurrent use.
type Server struct {
	URL              string
	AuthorizationURL string
	TokenURL         string
	ResourceURL      string
	ClientID         string
	ClientSecret     string

	http     *httptest.Server
	provider fosite.OAuth2Provider
	options  Options

	mu           sync.Mutex
	redirects    []string
	secret       string
	lifetime     time.Duration
	failures     []failure
	requests     []TokenRequest
	calls        int
	epoch        int // of access tokens; older ones are revoked
	refreshEpoch int // of refresh tokens
	delay        chan struct{}
}

// TokenRequest is one request that reached the token endpoint.
type TokenRequest struct {
	Method string
	Header http.Header
	Query  string
	Form   map[string][]string
	// Status is what was answered.
	Status int
}

type failure struct {
	status      int
	contentType string
	body        string
}

// New starts a provider that stops when the test ends.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("start OAuth provider: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Start starts a provider; the caller closes it.
func Start(o Options) (*Server, error) {
	if o.ClientID == "" {
		o.ClientID = "keyflow"
	}
	if o.ClientSecret == "" && !o.Public {
		o.ClientSecret = "oauth-client-secret-01"
	}
	if o.Scopes == nil {
		o.Scopes = []string{"read", "write"}
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = time.Hour
	}
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	s := &Server{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, options: o,
		redirects: o.RedirectURIs, secret: o.ClientSecret, lifetime: o.TokenLifetime,
	}
	s.http = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}}
	s.http.Start()
	s.URL = s.http.URL
	s.AuthorizationURL, s.TokenURL, s.ResourceURL = s.URL+"/authorize", s.URL+"/token", s.URL+"/resource"
	s.provider = s.newProvider() // before anyone knows the address
	return s, nil
}

// Close stops the provider.
func (s *Server) Close() { s.http.Close() }

// AllowRedirect registers one more redirect URI of the client.
func (s *Server) AllowRedirect(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirects = append(s.redirects, uri)
}

// SetTokenLifetime is the lifetime of access tokens from now on.
func (s *Server) SetTokenLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

// SetClientSecret changes the client's secret: requests with the former one are refused.
func (s *Server) SetClientSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}

// RevokeAccess makes every access token given so far invalid; refresh tokens go on working.
func (s *Server) RevokeAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

// RevokeAll makes every access and refresh token given so far invalid.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.refreshEpoch++
}

// FailNext makes the next token request answer this instead of being looked at. Several
// calls queue up.
func (s *Server) FailNext(status int, contentType, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, failure{status, contentType, body})
}

// Hold makes token requests wait until the returned function is called.
func (s *Server) Hold() (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = gate
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.delay = nil
		close(gate)
	})
}

// TokenRequests returns the token requests so far, oldest first.
func (s *Server) TokenRequests() []TokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]TokenRequest(nil), s.requests...)
}

// ResourceCalls counts the accepted calls of the protected resource.
func (s *Server) ResourceCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *Server) newProvider() fosite.OAuth2Provider {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	config := &fosite.Config{
		TokenURL:                   s.TokenURL,
		GlobalSecret:               key,
		AccessTokenLifespan:        time.Hour,
		AuthorizeCodeLifespan:      10 * time.Minute,
		RefreshTokenLifespan:       -1,
		RefreshTokenScopes:         []string{},
		EnforcePKCE:                true,
		ClientSecretsHasher:        plainHasher{},
		ScopeStrategy:              fosite.ExactScopeStrategy,
		SendDebugMessagesToClients: true,
	}
	store := &store{storage.NewMemoryStore(), s}
	return compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config),
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2ClientCredentialsGrantFactory,
		compose.OAuth2RefreshTokenGrantFactory, compose.OAuth2PKCEFactory, compose.OAuth2TokenIntrospectionFactory)
}

// store is fosite's memory store with a client that can change.
type store struct {
	*storage.MemoryStore
	server *Server
}

// GetClient implements fosite.ClientManager.
func (s *store) GetClient(_ context.Context, id string) (fosite.Client, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if id != s.server.ClientID {
		return nil, fosite.ErrNotFound
	}
	c := &client{
		DefaultClient: &fosite.DefaultClient{
			ID: id, Secret: []byte(s.server.secret), Public: s.server.options.Public,
			RedirectURIs: s.server.redirects, Scopes: s.server.options.Scopes,
			ResponseTypes: []string{"code"},
			GrantTypes:    []string{"authorization_code", "client_credentials", "refresh_token"},
		},
		lifetime: s.server.lifetime,
	}
	if s.server.options.ClientKey == nil {
		return c, nil
	}
	return &keyClient{c, &fosite.DefaultOpenIDConnectClient{
		DefaultClient:                     c.DefaultClient,
		JSONWebKeys:                       &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.server.options.ClientKey, KeyID: "key-1", Use: "sig", Algorithm: s.server.options.KeyAlgorithm}}},
		TokenEndpointAuthMethod:           "private_key_jwt",
		TokenEndpointAuthSigningAlgorithm: s.server.options.KeyAlgorithm,
	}}, nil
}

// keyClient proves itself by private_key_jwt.
type keyClient struct {
	*client
	openID
}

// openID is fosite's view of a client with keys.
type openID interface {
	GetRequestURIs() []string
	GetJSONWebKeys() *jose.JSONWebKeySet
	GetJSONWebKeysURI() string
	GetRequestObjectSigningAlgorithm() string
	GetTokenEndpointAuthMethod() string
	GetTokenEndpointAuthSigningAlgorithm() string
}

var _ fosite.OpenIDConnectClient = (*keyClient)(nil)

type client struct {
	*fosite.DefaultClient
	lifetime time.Duration
}

// GetEffectiveLifespan implements fosite.ClientWithCustomTokenLifespans.
func (c *client) GetEffectiveLifespan(_ fosite.GrantType, token fosite.TokenType, fallback time.Duration) time.Duration {
	if token == fosite.AccessToken {
		return c.lifetime
	}
	return fallback
}

// plainHasher compares secrets as they are: hashing would only make tests slow.
type plainHasher struct{}

// Compare implements fosite.Hasher.
func (plainHasher) Compare(_ context.Context, hash, data []byte) error {
	if subtle.ConstantTimeCompare(hash, data) == 1 {
		return nil
	}
	return errors.New("wrong client secret")
}

// Hash implements fosite.Hasher.
func (plainHasher) Hash(_ context.Context, data []byte) ([]byte, error) { return data, nil }

// session remembers when a token was given, so that it can be revoked.
type session struct {
	*fosite.DefaultSession
	Epoch        int
	RefreshEpoch int
}

// Clone implements fosite.Session.
func (s *session) Clone() fosite.Session {
	inner, ok := s.DefaultSession.Clone().(*fosite.DefaultSession)
	if !ok {
		return nil
	}
	return &session{inner, s.Epoch, s.RefreshEpoch}
}

func (s *Server) newSession() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &session{&fosite.DefaultSession{Subject: "alice"}, s.epoch, s.refreshEpoch}
}
