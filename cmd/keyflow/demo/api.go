// Package demo is the protected API that `keyflow demo` and tests call: one endpoint per
// authentication type, an OAuth 2.0 provider with both grants, and a Marketo-like API that
// reports an expired token inside an HTTP 200.
//
// It stands for the outside world: it knows nothing of Keyflow, and keeps everything in memory.
package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Secrets are what the API accepts.
type Secrets struct {
	Username, Password     string // Basic
	APIKey                 string // X-Api-Key
	ClientID, ClientSecret string // OAuth 2.0
}

// Call is one request that an endpoint answered, for a person to read.
type Call struct {
	Path   string
	Auth   string // which authentication was seen, without the secret
	Status int
}

// API is the protected API. It is safe for concurrent use.
type API struct {
	mux *http.ServeMux

	mu      sync.Mutex
	secrets Secrets
	tokens  map[string]time.Time // access token -> end
	refresh map[string]bool
	codes   map[string]string // authorization code -> PKCE challenge
	leads   bool              // the next lead request answers 602
	calls   []Call
}

// NewAPI returns an API with random secrets.
func NewAPI() *API {
	a := &API{
		mux: http.NewServeMux(), tokens: map[string]time.Time{}, refresh: map[string]bool{}, codes: map[string]string{},
		secrets: Secrets{Username: "it@example.com", Password: rand.Text(), APIKey: rand.Text(), ClientID: "keyflow-demo", ClientSecret: rand.Text()},
	}
	a.mux.HandleFunc("GET /public/status", a.public)
	a.mux.HandleFunc("GET /erp/orders", a.orders)
	a.mux.HandleFunc("GET /cloud/instances", a.instances)
	a.mux.HandleFunc("GET /hr/people", a.people)
	a.mux.HandleFunc("POST /partners/{partner}/contacts", a.contacts)
	a.mux.HandleFunc("GET /oauth/authorize", a.authorize)
	a.mux.HandleFunc("POST /oauth/token", a.token)
	a.mux.HandleFunc("/identity/oauth/token", a.token)
	a.mux.HandleFunc("GET /rest/v1/leads.json", a.marketo)
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Secrets returns what the API accepts now.
func (a *API) Secrets() Secrets {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.secrets
}

// ChangePassword makes a new Basic password; the former one is refused.
func (a *API) ChangePassword() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets.Password = rand.Text()
	return a.secrets.Password
}

// Calls returns what was answered so far, oldest first.
func (a *API) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// answer writes JSON and records the call.
func (a *API) answer(w http.ResponseWriter, r *http.Request, auth string, status int, body any) {
	a.mu.Lock()
	a.calls = append(a.calls, Call{Path: r.URL.Path, Auth: auth, Status: status})
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone when this fails
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, auth string) {
	a.answer(w, r, auth, http.StatusUnauthorized, map[string]string{"error": "not authorized"})
}

func same(got, want string) bool { return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1 }

func (a *API) public(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, "none", http.StatusOK, map[string]string{"status": "open for everybody"})
}

func (a *API) orders(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if s := a.Secrets(); !same(user, s.Username) || !same(password, s.Password) {
		a.refuse(w, r, "Basic")
		return
	}
	a.answer(w, r, "Basic", http.StatusOK, map[string]any{"orders": []map[string]any{{"id": 1001, "total": 250}, {"id": 1002, "total": 75}}})
}

func (a *API) instances(w http.ResponseWriter, r *http.Request) {
	if !same(r.Header.Get("X-Api-Key"), a.Secrets().APIKey) {
		a.refuse(w, r, "API key")
		return
	}
	a.answer(w, r, "API key", http.StatusOK, map[string]any{"instances": []string{"web-1", "web-2", "db-1"}})
}

func (a *API) contacts(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if s := a.Secrets(); user != r.PathValue("partner") || !same(password, s.Password) {
		a.refuse(w, r, "Basic")
		return
	}
	a.answer(w, r, "Basic", http.StatusCreated, map[string]any{"partner": r.PathValue("partner"), "stored": true})
}

func (a *API) people(w http.ResponseWriter, r *http.Request) {
	if !a.bearer(r) {
		a.refuse(w, r, "OAuth 2.0")
		return
	}
	a.answer(w, r, "OAuth 2.0", http.StatusOK, map[string]any{"people": []string{"Kim", "Lee", "Park"}})
}

// marketo answers like Adobe Marketo: an invalid or expired token is HTTP 200 with error 601
// or 602 and means that nothing was executed. The first valid call is answered as if the token had expired.
func (a *API) marketo(w http.ResponseWriter, r *http.Request) {
	failure := func(code, message string) map[string]any {
		return map[string]any{"success": false, "errors": []map[string]string{{"code": code, "message": message}}}
	}
	a.mu.Lock()
	first := !a.leads
	a.leads = true
	if first {
		delete(a.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	a.mu.Unlock()
	switch {
	case first:
		a.answer(w, r, "602 inside HTTP", http.StatusOK, failure("602", "Access token expired"))
	case !a.bearer(r):
		a.answer(w, r, "601 inside HTTP", http.StatusOK, failure("601", "Access token invalid"))
	default:
		a.answer(w, r, "OAuth 2.0", http.StatusOK, map[string]any{"success": true, "result": []map[string]any{{"id": 7, "email": "lead@example.com"}}})
	}
}

func (a *API) bearer(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.mu.Lock()
	defer a.mu.Unlock()
	end, known := a.tokens[token]
	return ok && known && time.Now().Before(end)
}

var consent = template.Must(template.New("consent").Parse( //nolint:gochecknoglobals // a constant
	`<!doctype html><html lang="en"><title>Demo provider</title><h1>Demo provider</h1><p>Let Keyflow read your people list?</p><p><a id="allow" href="{{.}}">Allow</a></p></html>`))

// authorize shows the consent page of the authorization code grant (RFC 6749 section 4.1, RFC 7636).
func (a *API) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Host == "" || q.Get("client_id") != a.Secrets().ClientID {
		http.Error(w, "unknown client or redirect_uri", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	a.mu.Lock()
	a.codes[code] = q.Get("code_challenge")
	a.mu.Unlock()
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	_ = consent.Execute(w, back.String()) // the client is gone when this fails
}

// token is the token endpoint of all grants.
func (a *API) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	s := a.Secrets()
	fail := func(status int, code string) {
		a.answer(w, r, "token", status, map[string]string{"error": code})
	}
	if !same(id, s.ClientID) || !same(secret, s.ClientSecret) {
		fail(http.StatusUnauthorized, "invalid_client")
		return
	}
	answer := map[string]any{"token_type": "bearer", "expires_in": 3600}
	switch r.FormValue("grant_type") {
	case "client_credentials":
	case "authorization_code":
		if !a.redeem(r.FormValue("code"), r.FormValue("code_verifier")) {
			fail(http.StatusBadRequest, "invalid_grant")
			return
		}
		answer["refresh_token"] = a.newRefresh("")
	case "refresh_token":
		next := a.newRefresh(r.FormValue("refresh_token"))
		if next == "" {
			fail(http.StatusBadRequest, "invalid_grant")
			return
		}
		answer["refresh_token"] = next
	default:
		fail(http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	access := rand.Text()
	a.mu.Lock()
	a.tokens[access] = time.Now().Add(time.Hour)
	a.mu.Unlock()
	answer["access_token"] = access
	a.answer(w, r, "token", http.StatusOK, answer)
}

// redeem takes an authorization code once and checks its PKCE verifier.
func (a *API) redeem(code, verifier string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	challenge, ok := a.codes[code]
	delete(a.codes, code)
	sum := sha256.Sum256([]byte(verifier))
	return ok && (challenge == "" || challenge == base64.RawURLEncoding.EncodeToString(sum[:]))
}

// newRefresh rotates a refresh token; "" begins a family and an unknown one gives "".
func (a *API) newRefresh(old string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old != "" && !a.refresh[old] {
		return ""
	}
	delete(a.refresh, old)
	next := rand.Text()
	a.refresh[next] = true
	return next
}
