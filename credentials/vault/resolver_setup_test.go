package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/oauth/oauthtest"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// network is a vault that may reach servers on loopback, with a clock that tests move.
type network struct {
	*vault.Vault
	transport *egress.Transport
	db        *database.DB
	dir       string
	ahead     *atomic.Int64             // how far the clock is ahead of the real one
	frozen    atomic.Pointer[time.Time] // nil: the clock goes
	told      chan credentials.ID       // credentials that the vault says are connected
}

func online(t *testing.T) *network {
	t.Helper()
	return onlineWith(t, databasetest.SQLite(t), t.TempDir())
}

// onlineBy is online with a transport of one's own.
func onlineBy(t *testing.T, transport *egress.Transport) *network {
	t.Helper()
	return onlineOver(t, databasetest.SQLite(t), t.TempDir(), transport)
}

// onlineWith starts a vault on a database and key folder that may have been used before.
func onlineWith(t *testing.T, db *database.DB, dir string) *network {
	t.Helper()
	transport, err := egress.New(egress.Options{Allow: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	return onlineOver(t, db, dir, transport)
}

func onlineOver(t *testing.T, db *database.DB, dir string, transport *egress.Transport) *network {
	t.Helper()
	n := &network{db: db, dir: dir, transport: transport, ahead: &atomic.Int64{}, told: make(chan credentials.ID, 100)}
	t.Cleanup(n.transport.CloseIdleConnections)
	keys, err := masterkey.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store := sqlstore.New(db)
	n.Vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, PublicURL: "http://127.0.0.1:9",
		Transport: n.transport, Now: n.now,
		Connected: func(id credentials.ID) { n.told <- id },
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// now is the clock of the vault.
func (n *network) now() time.Time {
	now := time.Now()
	if at := n.frozen.Load(); at != nil {
		now = *at
	}
	return now.Add(time.Duration(n.ahead.Load()))
}

// freeze stops the clock: advance alone moves it, however long the test takes.
func (n *network) freeze() {
	at := time.Now()
	n.frozen.Store(&at)
}

// advance moves the clock of the vault.
func (n *network) advance(d time.Duration) { n.ahead.Add(int64(d)) }

func (n *network) create(t *testing.T, text string) {
	t.Helper()
	if _, err := n.Create(t.Context(), admin, input(t, text)); err != nil {
		t.Fatalf("create: %v\n%+v", err, fault.ProblemsOf(err))
	}
}

func (n *network) patch(t *testing.T, id credentials.ID, text string) {
	t.Helper()
	if _, err := n.Patch(t.Context(), admin, id, []byte(text), credentials.AnyRevision); err != nil {
		t.Fatalf("patch: %v\n%+v", err, fault.ProblemsOf(err))
	}
}

func (n *network) state(t *testing.T, id credentials.ID) credentials.State {
	t.Helper()
	c, err := n.Get(t.Context(), admin, id)
	if err != nil {
		t.Fatal(err)
	}
	return c.State
}

func (n *network) client(t *testing.T, use credentials.Use) *http.Client {
	t.Helper()
	if use.Workflow == "" {
		use.Workflow, use.Folder = "sync", "/"
	}
	client, err := n.Resolver().Client(t.Context(), use)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func call(t *testing.T, client *http.Client, method, target, body string) (answer, error) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, reader)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

func (n *network) get(t *testing.T, id credentials.ID, target string) (answer, error) {
	t.Helper()
	return call(t, n.client(t, credentials.Use{ID: id}), http.MethodGet, target, "")
}

func mustGet(t *testing.T, n *network, id credentials.ID, target string) answer {
	t.Helper()
	a, err := n.get(t, id, target)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// refusal requires err to be a *credentials.Error with the code.
func refusal(t *testing.T, err error, code string) *credentials.Error {
	t.Helper()
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want *credentials.Error %s", err, err, code)
	}
	if e.Code != code {
		t.Fatalf("code %q (%v), want %q", e.Code, err, code)
	}
	return e
}

// upstream is a real server that remembers what it was sent.
type upstream struct {
	*httptest.Server
	host string
	mu   sync.Mutex
	seen []request
}

type request struct {
	Method string
	URL    string
	Header http.Header
	Body   string
}

func serve(t *testing.T, handle http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, request{r.Method, r.URL.String(), r.Header.Clone(), string(body)})
		u.mu.Unlock()
		if handle != nil {
			handle(w, r)
		}
	}))
	t.Cleanup(u.Close)
	u.host = strings.TrimPrefix(u.URL, "http://")
	return u
}

func (u *upstream) requests() []request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]request(nil), u.seen...)
}

// quoted is v as JSON text.
func quoted(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func basic(id, host, password string) string {
	return fmt.Sprintf(`{"id": %q, "type": "basic_auth", "allowed_hosts": [%q], "fields": {"username": "it", "password": %q}}`, id, host, password)
}

func apiKey(id, host, value, more string) string {
	return fmt.Sprintf(`{"id": %q, "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "X-Key", "value": %q}%s}`, id, host, value, more)
}

// clientCredentials is an oauth2 credential at the provider, for its resource.
func clientCredentials(id string, p *oauthtest.Server, more string) string {
	u, _ := url.Parse(p.URL)
	return fmt.Sprintf(`{"id": %q, "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "client_credentials",
		"access_token_url": %q, "client_id": %q, "client_secret": %q, "scope": "read"}%s}`, id, u.Host, p.TokenURL, p.ClientID, p.ClientSecret, more)
}

// authorizationCode is one that a person connects.
func authorizationCode(id string, p *oauthtest.Server) string {
	u, _ := url.Parse(p.URL)
	return fmt.Sprintf(`{"id": %q, "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "authorization_code",
		"authorization_url": %q, "access_token_url": %q, "client_id": %q, "client_secret": %q, "scope": "read"}}`,
		id, u.Host, p.AuthorizationURL, p.TokenURL, p.ClientID, p.ClientSecret)
}

func provider(t *testing.T) *oauthtest.Server {
	t.Helper()
	return oauthtest.New(t, oauthtest.Options{RedirectURIs: []string{"http://127.0.0.1:9/api/_/credentials/oauth_callback"}})
}
