package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyflow/credentials/oauth/oauthtest"
	"keyflow/internal/database/databasetest"
)

const operatorPassword = "a long password of the operator"

// person is somebody at a browser who is signed in.
type person struct {
	t       *testing.T
	at      *instance
	browser *http.Client
}

// signIn signs the administrator in, whose password is operatorPassword.
func signIn(s *instance) *person {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &person{s.t, s, &http.Client{Jar: jar}}
	p.send(http.MethodPost, "/api/v1/session", `{"username": "admin", "password": "`+operatorPassword+`"}`)
	return p
}

func (p *person) send(method, path, body string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.at.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", p.at.url)
	res, err := p.browser.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		p.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
	}
	return string(text)
}

// connect presses Connect, agrees at the provider and comes back.
func (p *person) connect(credential string, provider *oauthtest.Server) {
	p.t.Helper()
	provider.AllowRedirect(p.at.url + "/api/_/credentials/oauth_callback")
	var begun struct {
		URL string `json:"authorization_url"`
	}
	if err := json.Unmarshal([]byte(p.send(http.MethodPost, "/api/v1/credentials/"+credential+"/connect", `{}`)), &begun); err != nil {
		p.t.Fatal(err)
	}
	back, err := provider.Visit(p.t.Context(), begun.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	if page := p.send(http.MethodGet, "/api/_/credentials/oauth_callback?"+back.Encode(), ""); !strings.Contains(page, "is connected") {
		p.t.Fatalf("callback: %s", page)
	}
}

// sleeper is what the tests of waiting runs share: a provider, an API that counts calls, and the
// workflow "two", whose second step needs the credential "crm".
type sleeper struct {
	provider *oauthtest.Server
	up       *recorder
	env      []string
}

func newSleeper(t *testing.T) *sleeper {
	t.Helper()
	return &sleeper{
		provider: oauthtest.New(t, oauthtest.Options{}), up: &recorder{calls: map[string]int{}, gate: make(chan struct{})},
		env: []string{
			"KEYFLOW_MASTER_KEY=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))),
			"KEYFLOW_ADMIN_TOKEN=the-same-token-for-all-processes-here", "KEYFLOW_ADMIN_PASSWORD=" + operatorPassword,
		},
	}
}

// use stores the credential, connected, and then revoked by the provider, and the workflow.
func (z *sleeper) use(s *instance, more string) {
	s.t.Helper()
	upstream := httptest.NewServer(z.up)
	s.t.Cleanup(upstream.Close)
	s.must(http.MethodPost, "/api/v1/credentials", fmt.Sprintf(`{"id": "crm", "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "authorization_code",
		"authorization_url": %q, "access_token_url": %q, "client_id": %q, "client_secret": %q, "scope": "read"}}`,
		z.provider.URL, z.provider.AuthorizationURL, z.provider.TokenURL, z.provider.ClientID, z.provider.ClientSecret))
	signIn(s).connect("crm", z.provider)
	s.apply("two", `{"id": "two", `+more+` "nodes": {
		"first":  {"type": "web_request", "with": {"url": "`+upstream.URL+`/first/{{ input.n }}"}},
		"second": {"type": "web_request", "credential": "crm", "needs": ["first"], "with": {"url": "`+z.provider.ResourceURL+`"}, "output": "{{ this.status }}"},
		"third":  {"type": "web_request", "needs": ["second"], "with": {"url": "`+upstream.URL+`/third/{{ input.n }}"}}},
		"output": "{{ nodes.second.output }}"}`)
	z.provider.RevokeAll()
}

// asleep starts runs and waits until each of them waits for the credential.
func (z *sleeper) asleep(s *instance, count int) []string {
	s.t.Helper()
	ids := make([]string, count)
	for n := range ids {
		ids[n] = text(s.must(http.MethodPost, "/api/v1/workflows/two/runs", map[string]any{"input": map[string]any{"n": n}}).json["id"])
	}
	for _, id := range ids {
		var run answer
		eventually(s.t, "run "+id+" waits", func() bool {
			run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
			return run.json["status"] == "waiting"
		})
		if !strings.Contains(run.body, `"code":"credential_needs_connect"`) || !strings.Contains(run.body, "must be connected again") {
			s.t.Errorf("the waiting run does not say why: %s", run.body)
		}
	}
	return ids
}

// succeeds waits for the ends of runs and checks that no step was done twice.
func (z *sleeper) succeeds(s *instance, ids []string) {
	s.t.Helper()
	for n, id := range ids {
		var run answer
		eventually(s.t, "run "+id+" ends", func() bool {
			run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
			return run.json["finished_at"] != nil
		})
		if run.json["status"] != "succeeded" || text(run.json["output"]) != "200" {
			s.t.Errorf("run %d: %s", n, run.body)
		}
		for _, step := range []string{"first", "third"} {
			if calls := z.up.count(fmt.Sprintf("/%s/%d", step, n)); calls != 1 {
				s.t.Errorf("run %d: step %s was called %d times", n, step, calls)
			}
		}
	}
	if calls := z.provider.ResourceCalls(); calls != len(ids) {
		s.t.Errorf("the protected resource was called %d times by %d runs", calls, len(ids))
	}
}

func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	z := newSleeper(t)
	s := serveWith(t, "", z.env)
	z.use(s, "")
	ids := z.asleep(s, 20)
	begun := time.Now()
	signIn(s).connect("crm", z.provider)
	z.succeeds(s, ids)
	t.Logf("20 runs went on and ended within %s", time.Since(begun))
}

func TestHoldOverKill(t *testing.T) {
	t.Parallel()
	z := newSleeper(t)
	s := serveWith(t, "", z.env)
	z.use(s, "")
	ids := z.asleep(s, 3)
	s.kill()
	s = serveWith(t, s.dir, z.env)
	if run := s.must(http.MethodGet, "/api/v1/runs/"+ids[0], nil); run.json["status"] != "waiting" {
		t.Errorf("after the restart: %s", run.body)
	}
	signIn(s).connect("crm", z.provider)
	z.succeeds(s, ids)
}

// The connect is made at another process than the one that found the credential refused, also
// after that one has died.
func TestHoldInTwoProcesses(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]bool{"both live": false, "the first is killed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z, database := newSleeper(t), databasetest.PostgresURL(t)
			first := serveWith(t, "", z.env, "--database-url", database)
			z.use(first, "")
			ids := z.asleep(first, 5)
			if killed {
				first.kill()
			}
			second := serveWith(t, "", z.env, "--database-url", database)
			signIn(second).connect("crm", z.provider)
			z.succeeds(second, ids)
		})
	}
}

func TestHoldEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		more    string
		act     func(s *instance, id string)
		status  string
		waits   bool
		message string
	}{
		"deadline": {more: `"needs_connect_timeout": "2s",`, status: "failed", message: "(the step waited 2s for that)"},
		"fail":     {more: `"on_needs_connect": "fail",`, status: "failed", message: "must be connected again"},
		"cancel": {waits: true, status: "canceled", message: `"status":"canceled"`, act: func(s *instance, id string) {
			s.must(http.MethodPost, "/api/v1/runs/"+id+"/cancel", nil)
		}},
		"deleted": {waits: true, status: "failed", message: `"code":"credential_unknown"`, act: func(s *instance, _ string) {
			s.must(http.MethodDelete, "/api/v1/credentials/crm?force=true", nil)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newSleeper(t)
			s := serveWith(t, "", z.env)
			z.use(s, tt.more)
			var id string
			if tt.waits {
				id = z.asleep(s, 1)[0]
			} else {
				id = text(s.must(http.MethodPost, "/api/v1/workflows/two/runs", map[string]any{"input": map[string]any{"n": 0}}).json["id"])
			}
			if tt.act != nil {
				tt.act(s, id)
			}
			var run answer
			eventually(t, "the run ends", func() bool {
				run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
				return run.json["finished_at"] != nil
			})
			if run.json["status"] != tt.status || !strings.Contains(run.body, tt.message) {
				t.Errorf("run %s", run.body)
			}
			if z.up.count("/third/0") != 0 || z.provider.ResourceCalls() != 0 {
				t.Error("a step after the end was called")
			}
		})
	}
}

// A run in a process of its own fails at once: nobody could connect anything there.
func TestHoldWithoutServer(t *testing.T) {
	t.Parallel()
	z := newSleeper(t)
	s := serveWith(t, "", z.env)
	z.use(s, "")
	if code := s.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	file := filepath.Join(writeFiles(t, map[string]string{
		"alone.json": `{"id": "alone", "nodes": {"a": {"type": "web_request", "credential": "crm", "with": {"url": "` + z.provider.ResourceURL + `"}}}}`,
	}), "alone.json")
	r := keyflow(t, z.env, "run", file, "--data-dir", s.dir, "--egress-allow", "private")
	if r.code != exitFailed || !strings.Contains(r.stderr, "must be connected again") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
