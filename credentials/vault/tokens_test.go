package vault_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/oauth/oauthtest"
	"keyflow/internal/fault"
)

func TestClientCredentialsOneTokenForManyRequests(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("crm", p, ""))
	for range 3 {
		if a := mustGet(t, n, "crm", p.ResourceURL); a.status != http.StatusOK || strings.Contains(a.body, "Bearer ory") {
			t.Fatalf("answer %+v", a)
		}
	}
	if got := len(p.TokenRequests()); got != 1 {
		t.Errorf("%d token requests, want 1", got)
	}
	if s := n.state(t, "crm"); s.Status != credentials.OK {
		t.Errorf("state %+v", s)
	}
	// The token is stored: a restarted process uses it.
	again := onlineWith(t, n.db, n.dir)
	mustGet(t, again, "crm", p.ResourceURL)
	if got := len(p.TokenRequests()); got != 1 {
		t.Errorf("%d token requests after a restart, want 1", got)
	}
}

// useAtOnce calls the resource with many clients at the same time and counts what failed.
func useAtOnce(t *testing.T, n *network, users int, p *oauthtest.Server, begin func()) int {
	t.Helper()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range users {
		client := n.client(t, credentials.Use{ID: "crm"})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.ResourceURL, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			res, err := client.Do(req)
			if err != nil || res.StatusCode != http.StatusOK {
				failed.Add(1)
				return
			}
			_ = res.Body.Close()
		})
	}
	begin()
	wg.Wait()
	return int(failed.Load())
}

// Promise P7 within one process.
func TestOneRenewalForManyUsers(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("crm", p, ""))
	for round, want := range []int{1, 2} { // the first token, then one that has expired
		failed := useAtOnce(t, n, 64, p, p.Hold())
		if got := len(p.TokenRequests()); got != want || failed > 0 {
			t.Errorf("round %d: %d token requests, %d failures; want %d requests", round, got, failed, want)
		}
		n.advance(2 * time.Hour)
	}
}

func TestOneRenewalForManyRefusals(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("crm", p, ""))
	mustGet(t, n, "crm", p.ResourceURL)
	p.RevokeAccess()
	failed := useAtOnce(t, n, 32, p, func() {})
	if got := len(p.TokenRequests()); got != 2 || failed > 0 {
		t.Errorf("%d token requests, %d failures; want 2 requests", got, failed)
	}
}

// connect signs a person in and returns the vault's answer.
func connect(t *testing.T, n *network, p *oauthtest.Server, id credentials.ID) {
	t.Helper()
	u, err := n.Connect(t.Context(), admin, id, "session-1")
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.Visit(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Callback(t.Context(), admin, "session-1", back)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != id || c.State.Status != credentials.OK {
		t.Fatalf("connected %s in state %+v", c.ID, c.State)
	}
}

func TestRotatingRefreshTokens(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	connect(t, n, p, "crm")
	for range 4 { // each refresh token works once
		mustGet(t, n, "crm", p.ResourceURL)
		n.advance(2 * time.Hour)
	}
	p.RevokeAccess()
	if a := mustGet(t, n, "crm", p.ResourceURL); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	for i, r := range p.TokenRequests() {
		if r.Status != http.StatusOK {
			t.Errorf("token request %d: status %d", i, r.Status)
		}
	}
	p.RevokeAll()
	n.advance(2 * time.Hour)
	_, err := n.get(t, "crm", p.ResourceURL)
	e := refusal(t, err, credentials.CodeNeedsConnect)
	if !strings.HasPrefix(e.Message, `credential "crm" must be connected again: the provider answered invalid_grant`) {
		t.Errorf("message %q", e.Message)
	}
	if s := n.state(t, "crm"); s.Status != credentials.NeedsReconnect || !strings.Contains(s.Message, "invalid_grant") {
		t.Errorf("state %+v", s)
	}
	asked := len(p.TokenRequests())
	_, err = n.get(t, "crm", p.ResourceURL)
	refusal(t, err, credentials.CodeNeedsConnect)
	if got := len(p.TokenRequests()); got != asked {
		t.Errorf("a spent refresh token was sent again at once")
	}
	connect(t, n, p, "crm")
	mustGet(t, n, "crm", p.ResourceURL)
}

func TestNotConnected(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	_, err := n.get(t, "crm", p.ResourceURL)
	if e := refusal(t, err, credentials.CodeNeedsConnect); e.Message != `credential "crm" is not connected; open it in the admin page and press Connect` {
		t.Errorf("message %q", e.Message)
	}
	connect(t, n, p, "crm")
	mustGet(t, n, "crm", p.ResourceURL)
	if err := n.Disconnect(t.Context(), admin, "crm"); err != nil {
		t.Fatal(err)
	}
	_, err = n.get(t, "crm", p.ResourceURL)
	refusal(t, err, credentials.CodeNeedsConnect)
	if s := n.state(t, "crm"); s.Status != credentials.NeedsConnect {
		t.Errorf("state %+v", s)
	}
}

func TestRefusedTwiceIsRefused(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	var calls atomic.Int64
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	})
	n.create(t, strings.Replace(clientCredentials("crm", p, ""), `"allowed_hosts": [`, `"allowed_hosts": ["`+api.host+`", `, 1))
	_, err := n.get(t, "crm", api.URL)
	refusal(t, err, credentials.CodeRefused)
	if calls.Load() != 2 || len(p.TokenRequests()) != 2 {
		t.Errorf("%d calls and %d token requests, want 2 and 2", calls.Load(), len(p.TokenRequests()))
	}
	if s := n.state(t, "crm"); s.Status != credentials.Refused {
		t.Errorf("state %+v", s)
	}
}

// marketo answers 200 with success false and a code until it has seen enough tokens.
func marketo(t *testing.T, code string) *upstream {
	t.Helper()
	t.Helper()
	var first atomic.Value
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if first.CompareAndSwap(nil, r.Header.Get("Authorization")) || first.Load() == r.Header.Get("Authorization") {
			_, _ = fmt.Fprintf(w, `{"success": false, "errors": [{"code": %q}]}`, code)
			return
		}
		_, _ = fmt.Fprint(w, `{"success": true}`)
	})
}

func TestRenewalByRule(t *testing.T) {
	t.Parallel()
	const rule = `, "failure_rules": [{"status": [200], "body": "response.body.success == false and any(response.body.errors, #.code in ['601', '602'])", "action": "renew"%s}]`
	tests := map[string]struct {
		more   string
		code   string
		use    credentials.Use
		body   string
		calls  int
		tokens int
		error  string // "" is a success
	}{
		"not executed":             {`, "not_executed": true`, "601", credentials.Use{}, "text", 2, 2, ""},
		"perhaps executed":         {``, "602", credentials.Use{}, "text", 1, 2, credentials.CodeRefused},
		"at most once":             {`, "not_executed": true`, "601", credentials.Use{AtMostOnce: true}, "text", 1, 2, credentials.CodeRefused},
		"another error":            {`, "not_executed": true`, "604", credentials.Use{}, "text", 1, 1, ""},
		"without a body to repeat": {`, "not_executed": true`, "601", credentials.Use{}, "", 2, 2, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, p, api := online(t), provider(t), marketo(t, tt.code)
			n.create(t, strings.Replace(clientCredentials("mkto", p, fmt.Sprintf(rule, tt.more)), `"allowed_hosts": [`, `"allowed_hosts": ["`+api.host+`", `, 1))
			tt.use.ID = "mkto"
			_, err := call(t, n.client(t, tt.use), http.MethodPost, api.URL, tt.body)
			if tt.error != "" {
				refusal(t, err, tt.error)
			} else if err != nil {
				t.Fatal(err)
			}
			seen := api.requests()
			if len(seen) != tt.calls || len(p.TokenRequests()) != tt.tokens {
				t.Errorf("%d calls and %d token requests, want %d and %d", len(seen), len(p.TokenRequests()), tt.calls, tt.tokens)
			}
			if last := seen[len(seen)-1]; last.Body != tt.body {
				t.Errorf("repeated body %q", last.Body)
			}
			if s := n.state(t, "mkto"); s.Status == credentials.Refused {
				t.Errorf("state %+v: only a token was refused", s)
			}
		})
	}
}

// scripted is a token endpoint that answers one line after the other, the last one for ever.
func scripted(t *testing.T, lines ...string) (tokenURL string, asked *atomic.Int64) {
	t.Helper()
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i := min(int(asked.Add(1)), len(lines)) - 1
		status, body, _ := strings.Cut(lines[i], " ")
		w.Header().Set("Content-Type", "application/json")
		code := 0
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func scriptedCredential(api *upstream, tokenURL string) string {
	return fmt.Sprintf(`{"id": "crm", "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "client_credentials",
		"access_token_url": %q, "client_id": "id", "client_secret": "canary-client-77"}}`, api.host, tokenURL)
}

func TestSameTokenIsUsedToItsEnd(t *testing.T) {
	t.Parallel()
	n, api := online(t), serve(t, nil)
	tokenURL, asked := scripted(t,
		`200 {"access_token": "token-one-1", "expires_in": 3600}`, `200 {"access_token": "token-one-1", "expires_in": 50}`, `200 {"access_token": "token-two-2", "expires_in": 3600}`)
	n.create(t, scriptedCredential(api, tokenURL))
	steps := []struct {
		advance time.Duration
		asked   int64
		token   string
	}{
		{0, 1, "token-one-1"},
		{59*time.Minute + 10*time.Second, 2, "token-one-1"}, // due; the provider gives the same again
		{40 * time.Second, 2, "token-one-1"},                // not asked again before its end
		{11 * time.Second, 3, "token-two-2"},
	}
	for i, s := range steps {
		n.advance(s.advance)
		mustGet(t, n, "crm", api.URL)
		if got := api.requests()[i].Header.Get("Authorization"); got != "Bearer "+s.token || asked.Load() != s.asked {
			t.Errorf("step %d: %q after %d token requests, want %q after %d", i, got, asked.Load(), s.token, s.asked)
		}
	}
}

func TestBornExpiredIsAskedOncePerSecond(t *testing.T) {
	t.Parallel()
	n, api := online(t), serve(t, nil)
	tokenURL, asked := scripted(t, `200 {"access_token": "token-one-1", "expires_in": 0}`, `200 {"access_token": "token-two-2", "expires_in": -5}`)
	n.create(t, scriptedCredential(api, tokenURL))
	n.freeze()
	for range 3 {
		mustGet(t, n, "crm", api.URL)
	}
	if asked.Load() != 1 {
		t.Errorf("%d token requests, want 1", asked.Load())
	}
	n.advance(time.Second)
	mustGet(t, n, "crm", api.URL)
	if asked.Load() != 2 {
		t.Errorf("%d token requests a second later, want 2", asked.Load())
	}
}

func TestFailedRenewalKeepsTheToken(t *testing.T) {
	t.Parallel()
	failures := map[string]string{
		"503":            `503 {}`,
		"429":            `429 {}`,
		"invalid_client": `401 {"error": "invalid_client"}`,
		"HTML":           `200 <html>`,
		"empty token":    `200 {"access_token": ""}`,
	}
	for name, answer := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, api := online(t), serve(t, nil)
			n.freeze()
			tokenURL, asked := scripted(t, `200 {"access_token": "token-one-1", "expires_in": 3600}`, answer, answer, `200 {"access_token": "token-two-2", "expires_in": 3600}`)
			n.create(t, scriptedCredential(api, tokenURL))
			mustGet(t, n, "crm", api.URL)
			n.advance(59*time.Minute + 10*time.Second) // due, but not expired
			for range 5 {
				mustGet(t, n, "crm", api.URL)
			}
			if asked.Load() != 2 {
				t.Errorf("%d token requests, want 2: a failing provider rests", asked.Load())
			}
			for _, r := range api.requests() {
				if got := r.Header.Get("Authorization"); got != "Bearer token-one-1" {
					t.Errorf("request carried %q", got)
				}
			}
			n.advance(2 * time.Hour)
			if _, err := n.get(t, "crm", api.URL); err == nil {
				t.Error("an expired token was used")
			}
			n.advance(2 * time.Hour)
			mustGet(t, n, "crm", api.URL)
		})
	}
}

func TestErrorsOfTokenRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer  string
		code    string
		message string
		state   credentials.Status
	}{
		"invalid_client": {`401 {"error": "invalid_client", "error_description": "canary-client-77 is wrong"}`, credentials.CodeRefused,
			`no token for credential "crm": the provider answered invalid_client: *** is wrong`, credentials.Refused},
		"unauthorized_client": {`400 {"error": "unauthorized_client"}`, credentials.CodeRefused,
			`no token for credential "crm": the provider answered unauthorized_client`, credentials.Refused},
		"invalid_grant": {`400 {"error": "invalid_grant"}`, credentials.CodeRefused,
			`no token for credential "crm": the provider answered invalid_grant`, credentials.Refused},
		"503": {`503 busy canary-client-77`, "network", `no token for credential "crm": the token URL answered status 503: busy ***`, credentials.Untested},
		"429": {`429 `, "network", `no token for credential "crm": the token URL answered status 429`, credentials.Untested},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, api := online(t), serve(t, nil)
			n.freeze()
			tokenURL, asked := scripted(t, tt.answer)
			n.create(t, scriptedCredential(api, tokenURL))
			for range 3 {
				_, err := n.get(t, "crm", api.URL)
				if e := refusal(t, err, tt.code); e.Message != tt.message {
					t.Errorf("message %q, want %q", e.Message, tt.message)
				}
			}
			if asked.Load() != 1 || len(api.requests()) != 0 {
				t.Errorf("%d token requests and %d calls, want 1 and 0", asked.Load(), len(api.requests()))
			}
			if s := n.state(t, "crm"); s.Status != tt.state {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestChangedConfigurationInvalidatesTheToken(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("crm", p, ""))
	mustGet(t, n, "crm", p.ResourceURL)
	n.patch(t, "crm", `{"name": "Another name", "folder": "/x", "allowed_workflows": ["/**"]}`)
	mustGet(t, n, "crm", p.ResourceURL)
	if got := len(p.TokenRequests()); got != 1 {
		t.Errorf("%d token requests after a new name, want 1", got)
	}
	p.SetClientSecret("another-client-secret-2")
	n.patch(t, "crm", `{"fields": {"client_secret": "another-client-secret-2"}}`)
	mustGet(t, n, "crm", p.ResourceURL)
	if got := p.TokenRequests(); len(got) != 2 || got[1].Status != http.StatusOK {
		t.Errorf("token requests after a new secret: %+v", got)
	}
}

// A wrong secret is corrected while the provider rests: the correction counts at once.
func TestCorrectionEndsTheRest(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, strings.Replace(clientCredentials("crm", p, ""), p.ClientSecret, "wrong-secret-123", 1))
	_, err := n.get(t, "crm", p.ResourceURL)
	refusal(t, err, credentials.CodeRefused)
	n.patch(t, "crm", `{"fields": {"client_secret": "`+p.ClientSecret+`"}}`)
	mustGet(t, n, "crm", p.ResourceURL)
	if s := n.state(t, "crm"); s.Status != credentials.OK {
		t.Errorf("state %+v", s)
	}
}

func TestTokenInQuery(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, strings.Replace(clientCredentials("crm", p, ""), `"scope": "read"`, `"scope": "read", "placement": "query"`, 1))
	a := mustGet(t, n, "crm", p.ResourceURL+"?a=1")
	if !strings.Contains(a.body, "access_token=***") {
		t.Errorf("answer %s", a.body)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("crm", p, ""))
	n.create(t, apiKey("key", "api.example.com", "key-12345", ""))
	mustGet(t, n, "crm", p.ResourceURL)
	if err := n.Refresh(t.Context(), admin, "crm"); err != nil {
		t.Fatal(err)
	}
	mustGet(t, n, "crm", p.ResourceURL)
	if got := len(p.TokenRequests()); got != 2 {
		t.Errorf("%d token requests, want 2", got)
	}
	if err := n.Refresh(t.Context(), admin, "key"); !fault.Is(err, fault.Conflict) || fault.Message(err) != `credential "key" has no token to refresh: only oauth2 has` {
		t.Errorf("refresh of an API key: %v", err)
	}
	p.FailNext(http.StatusServiceUnavailable, "text/plain", "busy")
	if err := n.Refresh(t.Context(), admin, "crm"); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "status 503: busy") {
		t.Errorf("refresh at a busy provider: %v", err)
	}
	mustGet(t, n, "crm", p.ResourceURL)
}
