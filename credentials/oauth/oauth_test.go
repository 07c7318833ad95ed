package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"keyflow/credentials/oauth"
	"keyflow/credentials/oauth/oauthtest"
	"keyflow/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const redirectURL = "http://127.0.0.1:9/api/_/credentials/oauth_callback"

func newClient(t *testing.T) *oauth.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &oauth.Client{Transport: transport, Now: time.Now}
}

func setup(t *testing.T) (*oauthtest.Server, *oauth.Client, oauth.Config) {
	t.Helper()
	server := oauthtest.New(t, oauthtest.Options{RedirectURIs: []string{redirectURL}})
	return server, newClient(t), oauth.Config{
		AuthorizationURL: server.AuthorizationURL, TokenURL: server.TokenURL, RedirectURL: redirectURL,
		ClientID: server.ClientID, ClientSecret: secret.New(server.ClientSecret), Scope: "read write", PKCE: true,
	}
}

// callResource returns the status of the protected resource for the token.
func callResource(t *testing.T, c *oauth.Client, server *oauthtest.Server, token oauth.Token) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.ResourceURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	res, err := c.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func asError(t *testing.T, err error) *oauth.Error {
	t.Helper()
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want *oauth.Error", err, err)
	}
	return e
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	for _, auth := range []oauth.ClientAuth{"", oauth.AuthHeader, oauth.AuthBody} {
		t.Run("auth "+string(auth), func(t *testing.T) {
			t.Parallel()
			server, client, cfg := setup(t)
			cfg.ClientAuth = auth
			token, err := client.ClientCredentials(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got := callResource(t, client, server, token); got != http.StatusOK {
				t.Errorf("resource answered %d", got)
			}
			if left := time.Until(token.Expiry); left < 59*time.Minute || left > time.Hour {
				t.Errorf("token lives %v, want an hour", left)
			}
			if token.Scope != "read write" {
				t.Errorf("granted scope %q", token.Scope)
			}
			requests := server.TokenRequests()
			if len(requests) != 1 {
				t.Fatalf("%d token requests, want 1: the way of authentication must not be probed", len(requests))
			}
			_, inBody := requests[0].Form["client_secret"]
			if inHeader := requests[0].Header.Get("Authorization") != ""; inBody != (auth == oauth.AuthBody) || inHeader == inBody {
				t.Errorf("secret in body: %v, in header: %v", inBody, inHeader)
			}
		})
	}
}

func TestWrongSecretIsOneRejectedRequest(t *testing.T) {
	t.Parallel()
	server, client, cfg := setup(t)
	cfg.ClientSecret = secret.New("not-the-secret-of-this-client")
	_, err := client.ClientCredentials(t.Context(), cfg)
	e := asError(t, err)
	if e.Kind != oauth.Rejected || e.Code != "invalid_client" || e.Status != http.StatusUnauthorized {
		t.Errorf("got %+v", e)
	}
	if n := len(server.TokenRequests()); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	if strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestAuthorizationCodeWithPKCE(t *testing.T) {
	t.Parallel()
	server, client, cfg := setup(t)
	state, verifier := oauth.NewSecret(), oauth.NewSecret()
	back, err := server.Visit(t.Context(), cfg.ConsentURL(state, verifier))
	if err != nil {
		t.Fatal(err)
	}
	if back.Get("state") != state {
		t.Errorf("state %q, want %q", back.Get("state"), state)
	}
	first, err := client.Exchange(t.Context(), cfg, back.Get("code"), verifier)
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.Refresh(t.Context(), cfg, first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if first.Refresh.Equal(second.Refresh) {
		t.Error("the rotated refresh token was not taken over")
	}
	if got := callResource(t, client, server, second); got != http.StatusOK {
		t.Errorf("resource answered %d", got)
	}
	_, err = client.Refresh(t.Context(), cfg, first.Refresh)
	if e := asError(t, err); e.Kind != oauth.Grant || e.Code != "invalid_grant" {
		t.Errorf("a spent refresh token: %+v", e)
	}
}

func TestCodeNeedsItsVerifier(t *testing.T) {
	t.Parallel()
	server, client, cfg := setup(t)
	back, err := server.Visit(t.Context(), cfg.ConsentURL(oauth.NewSecret(), oauth.NewSecret()))
	if err != nil {
		t.Fatal(err)
	}
	code := back.Get("code")
	_, err = client.Exchange(t.Context(), cfg, code, oauth.NewSecret())
	if e := asError(t, err); e.Kind != oauth.Grant {
		t.Errorf("got %+v, want a Grant error", e)
	}
	if strings.Contains(err.Error(), code) {
		t.Errorf("the error shows the code: %v", err)
	}
}

func TestConsentURL(t *testing.T) {
	t.Parallel()
	cfg := oauth.Config{
		AuthorizationURL: "https://id.example.com/authorize?tenant=a", RedirectURL: redirectURL, ClientID: "me",
		Scope: " a  b ", ScopeSeparator: ",", AuthorizeParams: map[string]string{"access_type": "offline"},
	}
	u, err := url.Parse(cfg.ConsentURL("the-state", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"tenant": {"a"}, "response_type": {"code"}, "client_id": {"me"}, "redirect_uri": {redirectURL},
		"scope": {"a,b"}, "state": {"the-state"}, "access_type": {"offline"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if got := cfg.ConsentURL("s", strings.Repeat("v", 43)); !strings.Contains(got, "code_challenge_method=S256") || strings.Contains(got, strings.Repeat("v", 43)) {
		t.Errorf("PKCE challenge: %s", got)
	}
}

// provider is a token endpoint that answers what a test says.
func provider(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server
}

func TestRequestForms(t *testing.T) {
	t.Parallel()
	type seen struct {
		Method, Type, Auth, Query, Body string
	}
	tests := map[string]struct {
		change func(*oauth.Config)
		want   seen
	}{
		"query authentication": {
			func(c *oauth.Config) { c.ClientAuth = oauth.AuthQuery },
			seen{"POST", "application/x-www-form-urlencoded", "", "client_id=id%3A1&client_secret=p%26s+x&tenant=t", "grant_type=client_credentials&scope=a+b"},
		},
		"public client": {
			func(c *oauth.Config) { c.ClientAuth = oauth.AuthNone },
			seen{"POST", "application/x-www-form-urlencoded", "", "tenant=t", "client_id=id%3A1&grant_type=client_credentials&scope=a+b"},
		},
		"header authentication is form-encoded first": {
			func(*oauth.Config) {},
			seen{"POST", "application/x-www-form-urlencoded", "Basic aWQlM0ExOnAlMjZzK3g=", "tenant=t", "grant_type=client_credentials&scope=a+b"},
		},
		"GET": {
			func(c *oauth.Config) { c.Method, c.ClientAuth = "GET", oauth.AuthBody },
			seen{"GET", "", "", "client_id=id%3A1&client_secret=p%26s+x&grant_type=client_credentials&scope=a+b&tenant=t", ""},
		},
		"JSON": {
			func(c *oauth.Config) { c.Body, c.ClientAuth = "json", oauth.AuthBody },
			seen{"POST", "application/json", "", "tenant=t", `{"client_id":"id:1","client_secret":"p\u0026s x","grant_type":"client_credentials","scope":"a b"}`},
		},
		"extra parameters, another grant, headers": {
			func(c *oauth.Config) {
				c.TokenParams = map[string]string{"audience": "api", "grant_type": "other"}
				c.Headers = map[string]string{"Authorization": "Custom x"}
			},
			seen{"POST", "application/x-www-form-urlencoded", "Custom x", "tenant=t", "audience=api&grant_type=other&scope=a+b"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got seen
			server := provider(t, func(w http.ResponseWriter, r *http.Request) {
				var body strings.Builder
				_ = r.Write(&body)
				_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
				got = seen{r.Method, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.URL.RawQuery, text}
				_, _ = w.Write([]byte(`{"access_token":"tok","token_type":"bearer"}`))
			})
			cfg := oauth.Config{TokenURL: server.URL + "/t?tenant=t", ClientID: "id:1", ClientSecret: secret.New("p&s x"), Scope: "a b"}
			tt.change(&cfg)
			if _, err := newClient(t).ClientCredentials(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefreshParamsAndURL(t *testing.T) {
	t.Parallel()
	var form url.Values
	server := provider(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		form.Set("path", r.URL.Path)
		_, _ = w.Write([]byte(`{"access_token":"tok"}`))
	})
	cfg := oauth.Config{
		TokenURL: server.URL + "/token", RefreshURL: server.URL + "/refresh", ClientID: "id",
		TokenParams: map[string]string{"only": "token"}, RefreshParams: map[string]string{"resource": "r"},
	}
	token, err := newClient(t).Refresh(t.Context(), cfg, secret.New("refresh-1"))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh-1"}, "resource": {"r"}, "path": {"/refresh"}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if token.Refresh.Reveal() != "refresh-1" {
		t.Error("an answer without refresh token must keep the old one")
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		contentType, body string
		change            func(*oauth.Config)
		access, refresh   string
		scope             string
	}{
		"standard":             {"application/json", `{"access_token":"a","refresh_token":"r","scope":"x y"}`, nil, "a", "r", "x y"},
		"JSON as text":         {"text/plain", `{"access_token":"a"}`, nil, "a", "", ""},
		"JSON as a form":       {"application/x-www-form-urlencoded", `{"access_token":"a"}`, nil, "a", "", ""},
		"form":                 {"application/x-www-form-urlencoded", `access_token=a&scope=x%2Cy&token_type=bearer`, nil, "a", "", "x,y"},
		"form without a label": {"", `access_token=a&refresh_token=r`, nil, "a", "r", ""},
		"scope as a list":      {"application/json", `{"access_token":"a","scope":["x","y"]}`, nil, "a", "", "x y"},
		"renamed and nested": {"application/json", `{"data":{"jwt":"a","again":"r"}}`, func(c *oauth.Config) {
			c.AccessTokenPath, c.RefreshTokenPath = "data.jwt", "data.again"
		}, "a", "r", ""},
		"unusual types elsewhere": {"application/json", `{"access_token":"a","expires_in":{},"token_type":7}`, nil, "a", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				_, _ = w.Write([]byte(tt.body))
			})
			cfg := oauth.Config{TokenURL: server.URL, ClientID: "id"}
			if tt.change != nil {
				tt.change(&cfg)
			}
			token, err := newClient(t).ClientCredentials(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if token.Access.Reveal() != tt.access || token.Refresh.Reveal() != tt.refresh || token.Scope != tt.scope {
				t.Errorf("got %q %q %q", token.Access.Reveal(), token.Refresh.Reveal(), token.Scope)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const hidden = "client-secret-canary-77"
	tests := map[string]struct {
		status  int
		header  http.Header
		body    string
		kind    oauth.Kind
		code    string
		message string
		after   time.Duration
	}{
		"invalid_grant": {400, nil, `{"error":"invalid_grant","error_description":"token ` + hidden + ` is spent"}`,
			oauth.Grant, "invalid_grant", "the provider answered invalid_grant: token *** is spent", 0},
		"invalid_client":      {401, nil, `{"error":"invalid_client"}`, oauth.Rejected, "invalid_client", "the provider answered invalid_client", 0},
		"unauthorized_client": {400, nil, `{"error":"unauthorized_client"}`, oauth.Rejected, "unauthorized_client", "the provider answered unauthorized_client", 0},
		"error inside a 200":  {200, nil, `{"ok":false,"error":"invalid_grant"}`, oauth.Grant, "invalid_grant", "the provider answered invalid_grant", 0},
		"error in a form":     {200, nil, `error=bad_verification_code&error_description=old`, oauth.Rejected, "bad_verification_code", "the provider answered bad_verification_code: old", 0},
		"error with a token":  {200, nil, `{"error":"x","access_token":"half-a-token-123","error_description":"got half-a-token-123"}`, oauth.Rejected, "x", "the provider answered x: got ***", 0},
		"error as an object":  {400, nil, `{"error":{"message":"bad app","type":"OAuthException","code":1}}`, oauth.Rejected, "OAuthException", "the provider answered OAuthException: bad app", 0},
		"429":                 {429, http.Header{"Retry-After": {"7"}}, `slow down`, oauth.Transient, "", "the token URL answered status 429: slow down", 7 * time.Second},
		"503 with an error":   {503, nil, `{"error":"invalid_client"}`, oauth.Transient, "invalid_client", "the provider answered invalid_client", 0},
		"500, empty":          {500, nil, ``, oauth.Transient, "", "the token URL answered status 500", 0},
		"404 page":            {404, nil, `<h1>Not here</h1>`, oauth.Rejected, "", "the token URL answered status 404: <h1>Not here</h1>", 0},
		"no token":            {200, nil, `{"token":"x","b":1}`, oauth.Rejected, "", "the token URL answered status 200: the answer holds no access_token (it has: b, token)", 0},
		"HTML":                {200, nil, `<html>`, oauth.Rejected, "", "the token URL answered status 200: the answer is neither JSON nor form-encoded", 0},
		"redirect":            {307, http.Header{"Location": {"/elsewhere"}}, ``, oauth.Rejected, "", "the token URL redirects (status 307); enter the URL it leads to", 0},
		"long text":           {400, nil, strings.Repeat("x", 5000), oauth.Rejected, "", "the token URL answered status 400: " + strings.Repeat("x", 2048) + "...", 0},
		"not UTF-8, and NUL":  {400, nil, "a\xb0\xa1b\x00c", oauth.Rejected, "", "the token URL answered status 400: a\uFFFDb\uFFFDc", 0},
		"NUL in JSON": {400, nil, `{"error":"invalid_grant","error_description":"a\u0000b"}`,
			oauth.Grant, "invalid_grant", "the provider answered invalid_grant: a\uFFFDb", 0},
		"endless": {200, nil, strings.Repeat("x", 2<<20), oauth.Rejected, "", "the token answer is larger than 1 MiB", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			server := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			cfg := oauth.Config{TokenURL: server.URL, ClientID: "id", ClientSecret: secret.New(hidden)}
			_, err := newClient(t).ClientCredentials(t.Context(), cfg)
			e := asError(t, err)
			if e.Kind != tt.kind || e.Code != tt.code || e.Message != tt.message || e.RetryAfter != tt.after || e.Status != tt.status {
				t.Errorf("got %+v", e)
			}
			if calls != 1 {
				t.Errorf("%d requests, want 1", calls)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	server := provider(t, func(http.ResponseWriter, *http.Request) {})
	server.Close()
	cfg := oauth.Config{TokenURL: server.URL + "/t?key=url-canary", ClientID: "id", ClientAuth: oauth.AuthQuery, ClientSecret: secret.New("client-secret-canary-77")}
	_, err := newClient(t).ClientCredentials(t.Context(), cfg)
	if e := asError(t, err); e.Kind != oauth.Transient || e.Status != 0 || strings.Contains(e.Message, "canary") {
		t.Errorf("got %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t).ClientCredentials(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled request: %v", err)
	}
}

func TestObserveShowsNoSecret(t *testing.T) {
	t.Parallel()
	server, client, cfg := setup(t)
	var seen []oauth.Exchange
	client.Observe = func(e oauth.Exchange) { seen = append(seen, e) }
	cfg.ClientAuth = oauth.AuthBody
	cfg.TokenParams = map[string]string{"x_extra": "maybe-secret"}
	if _, err := client.ClientCredentials(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 {
		t.Fatalf("%d exchanges", len(seen))
	}
	want := oauth.Exchange{
		Method: "POST", URL: server.TokenURL, Status: 200, Type: "application/json;charset=UTF-8", Lifetime: seen[0].Lifetime, Date: seen[0].Date,
		Headers: map[string]string{"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "keyflow"},
		Params: map[string]string{
			"grant_type": "client_credentials", "client_id": "keyflow", "client_secret": "***", "scope": "read write", "x_extra": "***",
		},
		Answer: map[string]any{"access_token": "***", "token_type": "bearer", "scope": "read write", "expires_in": seen[0].Answer["expires_in"]},
	}
	if diff := cmp.Diff(want, seen[0]); diff != "" {
		t.Errorf("exchange (-want +got):\n%s", diff)
	}
}
