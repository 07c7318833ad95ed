package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	credentialstore "keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/egress"
	"keyflow/internal/identity"
)

// kills is how often TestKillAroundRenewals kills the server: go test ./cmd/keyflow -kills 200.
var kills = flag.Int("kills", 20, "kills of TestKillAroundRenewals")

// rotating is a provider whose refresh tokens work once, and whose access tokens work once, so
// that every call but the first needs a renewal.
type rotating struct {
	*httptest.Server
	mu      sync.Mutex
	access  string
	refresh string
	renewed int // refresh tokens spent since the last success of a call
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	p := &rotating{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /api", p.api)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *rotating) token(w http.ResponseWriter, r *http.Request) {
	pause := func() { time.Sleep(mathrand.N(4 * time.Millisecond)) } // so that kills hit every part of it
	pause()
	p.mu.Lock()
	w.Header().Set("Content-Type", "application/json")
	if r.FormValue("grant_type") == "refresh_token" && r.FormValue("refresh_token") != p.refresh {
		p.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"error": "invalid_grant"}`)
		return
	}
	if r.FormValue("grant_type") == "refresh_token" {
		p.renewed++
	}
	p.access, p.refresh = "access-"+rand.Text(), "refresh-"+rand.Text()
	body := fmt.Sprintf(`{"access_token": %q, "refresh_token": %q, "expires_in": 3600}`, p.access, p.refresh)
	p.mu.Unlock()
	pause()
	_, _ = fmt.Fprint(w, body)
}

func (p *rotating) api(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || token != p.access {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	p.access, p.renewed = "", 0
	_, _ = fmt.Fprint(w, `{}`)
}

// lost reports whether a renewal happened after which no call succeeded.
func (p *rotating) lost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renewed > 0
}

// connectOffline connects the credential "crm" in the data folder of a server that does not
// run, and makes it when it is missing.
func connectOffline(t *testing.T, dir string, p *rotating) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := masterkey.Open(dir, "")
	must(err)
	db, err := database.Open(t.Context(), database.Options{Dir: dir})
	must(err)
	defer func() { must(db.Close()) }()
	transport, err := egress.New(egress.Options{Allow: []string{"private"}})
	must(err)
	defer transport.CloseIdleConnections()
	store := credentialstore.New(db)
	vault, err := vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, PublicURL: "http://127.0.0.1:1", Transport: transport,
	})
	must(err)
	admin := identity.System()
	if _, err := vault.Get(t.Context(), admin, "crm"); err != nil {
		_, err = vault.Create(t.Context(), admin, credentials.Input{
			ID: "crm", Type: "oauth2", AllowedHosts: []string{p.URL}, Fields: map[string]any{
				"grant_type": "authorization_code", "authorization_url": p.URL + "/authorize", "access_token_url": p.URL + "/token",
				"client_id": "keyflow", "client_secret": "rotating-secret",
			},
		})
		must(err)
	}
	target, err := vault.Connect(t.Context(), admin, "crm", "session")
	must(err)
	u, err := url.Parse(target)
	must(err)
	_, err = vault.Callback(t.Context(), admin, "session", url.Values{"state": {u.Query().Get("state")}, "code": {"code"}})
	must(err)
}

// A refresh token that works once is never silently lost: after kill -9 at any instant around
// its renewal the credential either works or says that it must be connected again, and it says
// so only when the provider had answered a renewal whose answer was not stored.
func TestKillAroundRenewals(t *testing.T) {
	t.Parallel()
	p, dir := newRotating(t), t.TempDir()
	connectOffline(t, dir, p)
	reconnects := 0
	for round := range *kills {
		s := serve(t, dir)
		s.apply("sync", `{"id": "sync", "on_needs_connect": "fail", "nodes": {"a": {"type": "web_request", "credential": "crm", "with": {"url": "`+p.URL+`/api"}},
			"b": {"type": "web_request", "needs": ["a"], "credential": "crm", "with": {"url": "`+p.URL+`/api"}},
			"c": {"type": "web_request", "needs": ["b"], "credential": "crm", "with": {"url": "`+p.URL+`/api"}}}}`)
		id := text(s.must(http.MethodPost, "/api/v1/workflows/sync/runs", map[string]any{}).json["id"])
		<-time.After(mathrand.N(40 * time.Millisecond))
		s.kill()

		s = serve(t, dir)
		var run answer
		eventually(t, "the run ends after the restart", func() bool {
			run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
			return run.json["status"] == "succeeded" || run.json["status"] == "failed"
		})
		state := s.must(http.MethodGet, "/api/v1/credentials/crm", nil)
		s.kill()
		if run.json["status"] == "succeeded" {
			if !strings.Contains(state.body, `"status":"ok"`) {
				t.Errorf("round %d: the run succeeded, but the credential is %s", round, state.body)
			}
			continue
		}
		if !strings.Contains(run.body, `"code":"credential_needs_connect"`) || !strings.Contains(state.body, `"status":"needs_reconnect"`) {
			t.Fatalf("round %d: the credential was lost without a word: run %s, credential %s", round, run.body, state.body)
		}
		if !p.lost() {
			t.Errorf("round %d: the credential must be connected again although no renewal was lost: %s", round, state.body)
		}
		if !strings.Contains(state.body, "an earlier renewal was sent and its answer lost") {
			t.Errorf("round %d: the state does not say why: %s", round, state.body)
		}
		reconnects++
		connectOffline(t, dir, p)
	}
	t.Logf("%d kills, after %d of which the credential had to be connected again", *kills, reconnects)
}
