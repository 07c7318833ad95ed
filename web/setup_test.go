package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keyflow/internal/database/databasetest"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
	"keyflow/web/session"
	sessionsql "keyflow/web/session/sqlstore"
	"keyflow/workflows"
	workflowssql "keyflow/workflows/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	adminToken = "the-admin-token-of-the-folder"
	password   = "canary-password-of-admin"
)

// setup is a running server on a fresh database.
type setup struct {
	t       *testing.T
	url     string
	handler http.Handler
	session *session.Service
	runs    *fakeRuns
	logs    *logBuffer
	dir     string
}

// newSetup starts a server. Change may adjust its parts; the public URL is the server's own.
func newSetup(t *testing.T, change ...func(*Deps)) *setup {
	t.Helper()
	s := &setup{t: t, runs: newFakeRuns(), logs: &logBuffer{}, dir: t.TempDir()}
	db := databasetest.SQLite(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }))
	public := &url.URL{Scheme: "http", Host: server.Listener.Addr().String()}
	log := slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	catalog := workflows.NewCatalog(workflowssql.New(db), workflows.CatalogOptions{Logger: log})
	deps := Deps{
		Credentials: newVault(t, db, public.String(), catalog), Workflows: catalog, Runs: s.runs, Uses: s.runs, Triggers: fakeTriggers{},
		Hooks: http.HandlerFunc(fakeHooks), Callbacks: http.HandlerFunc(fakeHooks),
		Ready:     func(context.Context) error { return nil },
		PublicURL: public, Options: Options{Logger: log, Version: "1.2.3"},
	}
	for _, c := range change {
		c(&deps)
	}
	var err error
	s.session, err = session.New(session.Options{
		Accounts: sessionsql.NewAccounts(db), Tokens: sessionsql.NewTokens(db), Sessions: sessionsql.NewSessions(db, time.Now),
		PublicURL: deps.PublicURL, AdminToken: secret.New(adminToken), Cost: session.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, Now: deps.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	deps.Session = s.session
	if s.handler, err = NewHandler(deps); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// withAdmin makes the account admin.
func (s *setup) withAdmin() *setup {
	s.t.Helper()
	if _, err := s.session.OpenSetup(s.t.Context(), s.dir, secret.New(password)); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// token makes an API token with a role.
func (s *setup) token(role identity.Role, folder string) string {
	s.t.Helper()
	admin := identity.Caller{Name: "admin", Role: identity.Admin, Folder: "/"}
	name := string(role) + strings.ReplaceAll(folder, "/", ".")
	_, value, err := s.session.CreateToken(s.t.Context(), admin, session.NewToken{Name: name, Role: role, Folder: folder})
	if err != nil {
		s.t.Fatal(err)
	}
	return value.Reveal()
}

// caller sends requests in one way: with a token, a cookie jar, or nothing.
type caller struct {
	s      *setup
	client *http.Client
	header http.Header
}

func (s *setup) anonymous() *caller {
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &caller{s: s, header: http.Header{}, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *setup) with(token string) *caller {
	c := s.anonymous()
	c.header.Set("Authorization", "Bearer "+token)
	return c
}

func (s *setup) admin() *caller { return s.with(adminToken) }

// browser is a caller that keeps cookies, signed in as admin.
func (s *setup) browser() *caller {
	s.t.Helper()
	c := s.anonymous()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c.client.Jar = jar
	if got := c.do("POST", "/api/v1/session", `{"username":"admin","password":"`+password+`"}`); got.status != 200 {
		s.t.Fatalf("sign in: %d %s", got.status, got.body)
	}
	return c
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

func (g got) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(g.body), &v); err != nil {
		t.Fatalf("answer is not a JSON object: %v\n%s", err, g.body)
	}
	return v
}

// do sends a request; headers are pairs of name and value.
func (c *caller) do(method, path, body string, headers ...string) got {
	c.s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(c.s.t.Context(), method, c.s.url+path, reader)
	if err != nil {
		c.s.t.Fatal(err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.client.Do(r)
	if err != nil {
		c.s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.s.t.Fatal(err)
	}
	return got{res.StatusCode, res.Header, string(text)}
}

// logged sends a GET and returns when it is also logged and counted, which a client over
// the network cannot know.
func (s *setup) logged(target string, headers ...string) {
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	s.handler.ServeHTTP(httptest.NewRecorder(), r)
}

// scenario is one request and what its answer must be.
type scenario struct {
	name         string
	method, path string
	body         string
	headers      []string
	status       int
	has          []string // in the body
	hasNot       []string // in the body and the log
}

// run sends the scenarios in order and checks each.
func (c *caller) run(scenarios []scenario) {
	c.s.t.Helper()
	for _, sc := range scenarios {
		got := c.do(sc.method, sc.path, sc.body, sc.headers...)
		if got.status != sc.status {
			c.s.t.Errorf("%s: %s %s: status %d, want %d\n%s", sc.name, sc.method, sc.path, got.status, sc.status, got.body)
		}
		for _, text := range sc.has {
			if !strings.Contains(got.body, text) {
				c.s.t.Errorf("%s: the answer lacks %s\n%s", sc.name, text, got.body)
			}
		}
		for _, text := range sc.hasNot {
			if strings.Contains(got.body, text) {
				c.s.t.Errorf("%s: the answer holds %s\n%s", sc.name, text, got.body)
			}
			if strings.Contains(c.s.logs.String(), text) {
				c.s.t.Errorf("%s: the log holds %s", sc.name, text)
			}
		}
		if got.status >= 400 {
			checkProblem(c.s.t, sc.name, got)
		}
	}
}

// checkProblem checks the form of an error answer (RFC 9457).
func checkProblem(t *testing.T, name string, g got) {
	t.Helper()
	if ct := g.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s: content type of status %d is %q", name, g.status, ct)
		return
	}
	p := g.json(t)
	if p["status"] != float64(g.status) || p["title"] != http.StatusText(g.status) || p["detail"] == "" || p["type"] == "" {
		t.Errorf("%s: problem %v", name, p)
	}
	if p["request_id"] == "" || p["request_id"] != g.header.Get("X-Request-Id") {
		t.Errorf("%s: request_id %v, header %q", name, p["request_id"], g.header.Get("X-Request-Id"))
	}
	if _, ok := p["errors"].([]any); !ok {
		t.Errorf("%s: errors is %v, want a list", name, p["errors"])
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func fakeHooks(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "hook "+r.URL.Path+" raw "+r.URL.RawPath+" "+r.Header.Get("Cookie"))
}
