package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/internal/identity"
	"keyflow/internal/secret"
	"keyflow/web/request"
)

func TestSetUpOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	link, err := s.session.OpenSetup(t.Context(), s.dir, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#token=")
	setUp := func(token, name, pass string) string {
		return fmt.Sprintf(`{"token":%q,"username":%q,"password":%q}`, token, name, pass)
	}
	c := s.anonymous()
	c.run([]scenario{
		{name: "open", method: "GET", path: "/api/v1/setup", status: 200, has: []string{`{"open":true}`}},
		{name: "wrong token", method: "POST", path: "/api/v1/setup", body: setUp("canary-token", "kim", password), status: 403,
			has: []string{"the set-up link is wrong"}, hasNot: []string{"canary-"}},
		{name: "bad account", method: "POST", path: "/api/v1/setup", body: setUp(token, "kim lee", "canary"), status: 422,
			has: []string{`"path":"/username"`, `"path":"/password"`, "a password has 8 to 1024 characters"}, hasNot: []string{"canary", token}},
		{name: "wrong shape", method: "POST", path: "/api/v1/setup", body: `{"token":["canary-token"],"username":7,"pass_word":"canary-password"}`, status: 422,
			has: []string{`"path":"/token"`, `"path":"/username"`, `"path":"/pass_word"`, "known here: password, token, username"}, hasNot: []string{"canary-"}},
		{name: "not JSON", method: "POST", path: "/api/v1/setup", body: "{\n  canary-password", status: 400, has: []string{"line 2, column 3"}, hasNot: []string{"canary-"}},
		{name: "the link", method: "POST", path: "/api/v1/setup", body: setUp(token, "kim", password), status: 201, has: []string{`"username":"kim"`, `"administer"`}, hasNot: []string{password, token}},
		{name: "closed", method: "GET", path: "/api/v1/setup", status: 200, has: []string{`{"open":false}`}},
		{name: "the link again", method: "POST", path: "/api/v1/setup", body: setUp(token, "lee", password), status: 409, has: []string{"set-up is closed: an administrator exists already"}},
	})
}

func TestSetUpRaceOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	link, err := s.session.OpenSetup(t.Context(), s.dir, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#token=")
	c := s.anonymous()
	var wg sync.WaitGroup
	var made, closed atomic.Int32
	for i := range 200 {
		wg.Go(func() {
			switch got := c.do("POST", "/api/v1/setup", fmt.Sprintf(`{"token":%q,"username":"admin%d","password":%q}`, token, i, password)); got.status {
			case http.StatusCreated:
				made.Add(1)
			case http.StatusConflict:
				closed.Add(1)
			default:
				t.Errorf("call %d: status %d\n%s", i, got.status, got.body)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || closed.Load() != 199 {
		t.Errorf("%d administrators made and %d calls refused, want 1 and 199", made.Load(), closed.Load())
	}
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	s.anonymous().run([]scenario{
		{name: "wrong password", method: "POST", path: "/api/v1/session", body: `{"username":"admin","password":"canary-wrong"}`, status: 401,
			has: []string{"the username or the password is wrong"}, hasNot: []string{"canary-wrong"}},
		{name: "unknown name", method: "POST", path: "/api/v1/session", body: `{"username":"canary-name","password":"canary-wrong"}`, status: 401,
			has: []string{"the username or the password is wrong"}, hasNot: []string{"canary-"}},
		{name: "empty", method: "POST", path: "/api/v1/session", status: 400, has: []string{"the body is missing"}},
		{name: "password that is a number", method: "POST", path: "/api/v1/session", body: `{"username":"admin","password":471108150016}`, status: 422,
			has: []string{`"path":"/password","code":"wrong_type","message":"a text is expected"`}, hasNot: []string{"471108150016"}},
		{name: "too large", method: "POST", path: "/api/v1/session", body: `{"username":"` + strings.Repeat("a", 70_000) + `"}`, status: 413, has: []string{"the body is too large"}},
		{name: "nobody", method: "GET", path: "/api/v1/session", status: 401},
		{name: "sign out of nothing", method: "DELETE", path: "/api/v1/session", status: 204},
	})

	browser := s.browser()
	browser.run([]scenario{
		{name: "who am I", method: "GET", path: "/api/v1/session", status: 200, has: []string{
			`"username":"admin"`, `"role":"admin"`, `"folder":"/"`, `"rights":["view","operate","edit_workflows","use_credentials","manage_credentials","administer"]`,
			`"redirect_url":"` + s.url + `/api/_/credentials/oauth_callback"`, `"public_url":"` + s.url + `"`}, hasNot: []string{password}},
		{name: "works", method: "GET", path: "/api/v1/credentials", status: 200, has: []string{`{"items":[],"next_cursor":null}`}},
	})
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	before := browser.client.Jar.Cookies(address)
	browser.run([]scenario{
		{name: "sign out", method: "DELETE", path: "/api/v1/session", status: 204},
		{name: "signed out", method: "GET", path: "/api/v1/session", status: 401, has: []string{"sign in, or send an API token"}},
	})
	s.anonymous().run([]scenario{{
		name: "old cookie", method: "GET", path: "/api/v1/session", headers: []string{"Cookie", before[0].String()},
		status: 401, has: []string{"the session has ended: sign in again"},
	}})
}

func TestThrottledSignIn(t *testing.T) {
	t.Parallel()
	at := time.Now() // stands still: each six seconds allow one more attempt
	s := newSetup(t, func(d *Deps) { d.Now = func() time.Time { return at } }).withAdmin()
	c := s.anonymous()
	for range 10 {
		if got := c.do("POST", "/api/v1/session", `{"username":"admin","password":"wrong"}`); got.status != 401 {
			t.Fatalf("status %d", got.status)
		}
	}
	got := c.do("POST", "/api/v1/session", `{"username":"admin","password":"`+password+`"}`, "X-Forwarded-For", "203.0.113.9")
	if got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "too many failed attempts: try again in") {
		t.Errorf("eleventh attempt: %d, Retry-After %q\n%s", got.status, got.header.Get("Retry-After"), got.body)
	}
	checkProblem(t, "throttled", got)
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	got := s.anonymous().do("POST", "/api/v1/session", `{"username":"admin","password":"`+password+`"}`)
	cookie := got.header.Get("Set-Cookie")
	for _, want := range []string{"keyflow_session=", "Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie lacks %s: %s", want, cookie)
		}
	}
	if strings.Contains(cookie, "Secure") {
		t.Errorf("cookie of an http address is Secure: %s", cookie)
	}

	tls := newSetup(t, func(d *Deps) { d.PublicURL = &url.URL{Scheme: "https", Host: "flow.acme.kr"} }).withAdmin()
	got = tls.anonymous().do("POST", "/api/v1/session", `{"username":"admin","password":"`+password+`"}`)
	if cookie := got.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-keyflow_session=") || !strings.Contains(cookie, "Secure") {
		t.Errorf("cookie behind https: %s", cookie)
	}
	if got.header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security behind https")
	}
}

// A page of another site can make a browser send requests with our cookie; none of them
// may change anything.
func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	browser := s.browser()
	create := `{"id":"erp","name":"ERP","type":"no_auth"}`
	refused := "the request comes from another site's page"
	browser.run([]scenario{
		{name: "other origin", method: "POST", path: "/api/v1/credentials", body: create, headers: []string{"Origin", "https://evil.example"}, status: 403, has: []string{refused}},
		{name: "cross-site fetch", method: "POST", path: "/api/v1/credentials", body: create, headers: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, has: []string{refused}},
		{name: "sibling subdomain", method: "DELETE", path: "/api/v1/session", headers: []string{"Sec-Fetch-Site", "same-site", "Origin", "http://other.127.0.0.1"}, status: 403, has: []string{refused}},
		{name: "text/plain", method: "POST", path: "/api/v1/credentials", body: create, headers: []string{"Origin", "null", "Content-Type", "text/plain"}, status: 403, has: []string{refused}},
		{name: "sign in from elsewhere", method: "POST", path: "/api/v1/session", body: `{"username":"admin","password":"` + password + `"}`, headers: []string{"Origin", "https://evil.example"}, status: 403, has: []string{refused}},
		{name: "nothing was made", method: "GET", path: "/api/v1/credentials/erp", status: 404},
		{name: "own page", method: "POST", path: "/api/v1/credentials", body: create, headers: []string{"Origin", s.url, "Sec-Fetch-Site", "same-origin"}, status: 201},
		{name: "a link from elsewhere", method: "GET", path: "/api/v1/credentials/erp", headers: []string{"Sec-Fetch-Site", "cross-site"}, status: 200},
	})
	for _, path := range []string{"/hooks/forms/lead"} {
		if got := s.anonymous().do("POST", path, "{}", "Origin", "https://forms.example", "Sec-Fetch-Site", "cross-site"); got.status != 200 {
			t.Errorf("%s from a form of another site: status %d", path, got.status)
		}
	}
}

func TestPublicURLIsATrustedOrigin(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(d *Deps) { d.PublicURL = &url.URL{Scheme: "https", Host: "flow.acme.kr"} })
	s.admin().run([]scenario{
		{name: "behind a proxy that changes the host", method: "POST", path: "/api/v1/credentials", body: `{"id":"erp","name":"ERP","type":"no_auth"}`,
			headers: []string{"Origin", "https://flow.acme.kr", "Sec-Fetch-Site", "same-site"}, status: 201},
	})
}

func TestHooksNeverSeeOrSetOurCookies(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	browser := s.browser()
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	browser.client.Jar.SetCookies(address, []*http.Cookie{{Name: "theirs", Value: "1"}})
	got := browser.do("POST", "/hooks/forms/lead", `{}`)
	if got.status != 200 || got.body != "hook /hooks/forms/lead raw  theirs=1" || got.header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("hook: %d %q, policy %q", got.status, got.body, got.header.Get("Content-Security-Policy"))
	}
	if got.header.Get("Set-Cookie") != "" {
		t.Errorf("a hook's answer sets a cookie: %s", got.header.Get("Set-Cookie"))
	}
}

func TestTokensOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	admin := s.admin()
	made := admin.do("POST", "/api/v1/tokens", `{"name":"ci","role":"operator","folder":"/hr","expires_at":"2099-01-01T00:00:00Z"}`)
	value, _ := made.json(t)["token"].(string)
	id, _ := made.json(t)["id"].(string)
	if made.status != 201 || !strings.HasPrefix(value, "kf_") || id == "" {
		t.Fatalf("made: %d %s", made.status, made.body)
	}
	s.with(value).run([]scenario{
		{name: "works", method: "GET", path: "/api/v1/session", status: 200, has: []string{`"username":"token:ci"`, `"rights":["view","operate"]`, `"expires_at":"2099-01-01T00:00:00Z"`}},
		{name: "below its folder", method: "GET", path: "/api/v1/runs?folder=/hr/seoul", status: 200},
		{name: "elsewhere", method: "GET", path: "/api/v1/runs?folder=/", status: 403, has: []string{"token:ci needs the right view in folder /"}},
		{name: "no administrator", method: "GET", path: "/api/v1/tokens", status: 403},
		{name: "no maker of tokens", method: "POST", path: "/api/v1/tokens", body: `{"name":"more","role":"viewer","folder":"/hr"}`, status: 403},
		{name: "no revoker", method: "DELETE", path: "/api/v1/tokens/" + id, status: 403},
	})
	admin.run([]scenario{
		{name: "list", method: "GET", path: "/api/v1/tokens", status: 200, has: []string{`"name":"ci"`, `"last_used_at":"20`, `"created_by":"token:admin-token"`}, hasNot: []string{value}},
		{name: "same name", method: "POST", path: "/api/v1/tokens", body: `{"name":"ci","role":"viewer"}`, status: 409, has: []string{`a token named \"ci\" already exists`}},
		{name: "bad", method: "POST", path: "/api/v1/tokens", body: `{"name":"x","role":"king","expires_at":"tomorrow"}`, status: 422, has: []string{`"path":"/expires_at"`, "RFC 3339"}},
		{name: "bad role", method: "POST", path: "/api/v1/tokens", body: `{"name":"x","role":"king"}`, status: 422, has: []string{`"path":"/role"`, "one of viewer, operator, editor, credential_manager, admin"}},
		{name: "revoke", method: "DELETE", path: "/api/v1/tokens/" + id, status: 204},
		{name: "revoke again", method: "DELETE", path: "/api/v1/tokens/" + id, status: 404},
	})
	s.with(value).run([]scenario{
		{name: "revoked", method: "GET", path: "/api/v1/session", status: 401, has: []string{"the API token is unknown, expired or revoked"}, hasNot: []string{value}},
	})
	if token := s.token(identity.Viewer, "/"); s.with(token).do("GET", "/metrics", "").status != 200 {
		t.Error("a viewer cannot read /metrics")
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	tests := map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"direct":                  {"203.0.113.5:1234", nil, "203.0.113.5"},
		"forged header":           {"203.0.113.5:1234", []string{"1.1.1.1"}, "203.0.113.5"},
		"behind a proxy":          {"10.0.0.1:1234", []string{"203.0.113.5"}, "203.0.113.5"},
		"forged behind a proxy":   {"10.0.0.1:1234", []string{"1.1.1.1, 203.0.113.5"}, "203.0.113.5"},
		"two proxies":             {"10.0.0.1:1234", []string{"1.1.1.1, 203.0.113.5", "10.9.9.9"}, "203.0.113.5"},
		"only proxies":            {"10.0.0.1:1234", nil, "10.0.0.1"},
		"nonsense from the proxy": {"10.0.0.1:1234", []string{"evil\r\nx"}, "10.0.0.1"},
		"IPv6 counts as its /64":  {"[2001:db8::1:2:3:4]:1234", nil, "2001:db8::/64"},
		"IPv4 in IPv6":            {"[::ffff:203.0.113.5]:1234", nil, "203.0.113.5"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
			if got := request.Source(r, trusted); got != tt.want {
				t.Errorf("clientAddress = %q, want %q", got, tt.want)
			}
		})
	}
}
