package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
	"keyflow/web/session"
	"keyflow/web/session/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "canary-correct-horse"

type setup struct {
	*session.Service
	options session.Options
	dir     string
	now     atomic.Int64 // microseconds
}

func newSetup(t *testing.T, publicURL string) *setup {
	t.Helper()
	public, err := url.Parse(publicURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{dir: t.TempDir()}
	s.now.Store(time.Now().UnixMicro())
	db := databasetest.SQLite(t)
	s.options = session.Options{
		Accounts: sqlstore.NewAccounts(db), Tokens: sqlstore.NewTokens(db), Sessions: sqlstore.NewSessions(db, s.clock),
		PublicURL: public, AdminToken: secret.New("an-admin-token-of-the-folder"),
		Cost: session.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, Now: s.clock,
	}
	s.Service, err = session.New(s.options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *setup) clock() time.Time { return time.UnixMicro(s.now.Load()).UTC() }

func (s *setup) pass(d time.Duration) { s.now.Add(d.Microseconds()) }

// withAdmin makes the first administrator, admin.
func (s *setup) withAdmin(t *testing.T) *setup {
	t.Helper()
	if link, err := s.OpenSetup(t.Context(), s.dir, secret.New(password)); err != nil || link != "" {
		t.Fatalf("OpenSetup with a password = %q, %v", link, err)
	}
	return s
}

func (s *setup) signIn(t *testing.T, name, pass string) (*http.Cookie, error) {
	t.Helper()
	cookie, _, err := s.SignIn(t.Context(), name, secret.New(pass), "192.0.2.1")
	return cookie, err
}

func (s *setup) who(t *testing.T, change func(*http.Request)) (session.Who, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	change(r)
	return s.Authenticate(t.Context(), r)
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func with(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(c) }
}

func TestSessionOfAPerson(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
	cookie, err := s.signIn(t, "  ADMIN ", password) // spelling does not matter
	if err != nil {
		t.Fatal(err)
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure || cookie.Path != "/" || cookie.MaxAge != 12*3600 {
		t.Errorf("cookie attributes: %s", cookie)
	}
	who, err := s.who(t, with(cookie))
	if err != nil {
		t.Fatal(err)
	}
	if want := (identity.Caller{Name: "admin", Role: identity.Admin, Folder: "/"}); who.Caller != want || who.Session == "" || strings.Contains(cookie.Value, who.Session) {
		t.Errorf("who = %+v, want %+v with a session id that is not the cookie", who, want)
	}

	s.pass(session.Lifetime - time.Second)
	if _, err := s.who(t, with(cookie)); err != nil {
		t.Errorf("one second before its end: %v", err)
	}
	s.pass(2 * time.Second)
	if _, err := s.who(t, with(cookie)); fault.Message(err) != "the session has ended: sign in again" {
		t.Errorf("after 12 hours: %v", err)
	}
}

func TestSignOutEndsTheSessionOnTheServer(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
	cookie, err := s.signIn(t, "admin", password)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/", nil)
	r.AddCookie(cookie)
	cleared, err := s.SignOut(t.Context(), r)
	if err != nil || cleared.MaxAge >= 0 || cleared.Name != cookie.Name {
		t.Errorf("SignOut = %v, %v; want a cookie that clears the session", cleared, err)
	}
	if _, err := s.who(t, with(cookie)); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the old cookie after sign-out: %v, want Unauthenticated", err)
	}
}

func TestCookieIsSecureBehindHTTPS(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "https://flow.acme.kr").withAdmin(t)
	cookie, err := s.signIn(t, "admin", password)
	if err != nil {
		t.Fatal(err)
	}
	if !cookie.Secure || cookie.Name != "__Host-keyflow_session" {
		t.Errorf("cookie behind https: %s", cookie)
	}
}

func TestSignInRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ name, password string }{
		"wrong password":  {"admin", "canary-wrong"},
		"empty password":  {"admin", ""},
		"unknown account": {"nobody", password},
		"empty name":      {"", password},
		"very long name":  {strings.Repeat("a", 100_000), password},
		"quotes":          {`admin' OR '1'='1`, password},
	}
	s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cookie, err := s.signIn(t, tt.name, tt.password)
			if cookie != nil || fault.Message(err) != "the username or the password is wrong" {
				t.Errorf("cookie %v, error %v", cookie, err)
			}
		})
	}
}

func TestThrottlePerAccountAndSource(t *testing.T) {
	t.Parallel()
	attempt := func(s *setup, name, pass, source string) error {
		_, _, err := s.SignIn(t.Context(), name, secret.New(pass), source)
		return err
	}
	t.Run("account, in any spelling, from any source", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
		for i, name := range []string{"admin", "Admin", "ADMIN", " admin", "admin ", "aDmin", "adMin", "admIn", "admiN", "\tadmin"} {
			if err := attempt(s, name, "wrong", fmt.Sprint("10.0.0.", i)); !fault.Is(err, fault.Unauthenticated) {
				t.Fatalf("attempt %d: %v", i, err)
			}
		}
		err := attempt(s, "admin", password, "10.0.0.99")
		throttled, ok := errors.AsType[*session.ThrottledError](err)
		if !ok || fault.Message(err) != "too many failed attempts: try again in 6s" || throttled.RetryAfter() != 6*time.Second {
			t.Errorf("eleventh attempt, right password: %v", err)
		}
		s.pass(6 * time.Second)
		if err := attempt(s, "admin", password, "10.0.0.99"); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
	t.Run("source, over many accounts", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
		for i := range 20 {
			if err := attempt(s, fmt.Sprint("user", i), "wrong", "10.0.0.1"); !fault.Is(err, fault.Unauthenticated) {
				t.Fatalf("attempt %d: %v", i, err)
			}
		}
		if err := attempt(s, "admin", password, "10.0.0.1"); !fault.Is(err, fault.RateLimited) {
			t.Errorf("attempt 21 from the source: %v, want RateLimited", err)
		}
		if err := attempt(s, "admin", password, "10.0.0.2"); err != nil {
			t.Errorf("from another source: %v", err)
		}
	})
	t.Run("successes cost nothing", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
		for i := range 50 {
			if err := attempt(s, "admin", password, "10.0.0.1"); err != nil {
				t.Fatalf("sign-in %d: %v", i, err)
			}
		}
	})
}

func TestSetupLink(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "https://acme.kr/flow/")
	link, err := s.OpenSetup(t.Context(), s.dir, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	address, token, ok := strings.Cut(link, "#token=")
	if !ok || address != "https://acme.kr/flow/setup" {
		t.Errorf("link %q", link)
	}
	file := filepath.Join(s.dir, session.SetupFile)
	assertPrivate(t, file, link+"\n")

	again, err := session.New(s.options) // a restart keeps the printed link valid
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.OpenSetup(t.Context(), s.dir, secret.Text{}); err != nil || second != link {
		t.Errorf("link after a restart %q, %v; want %q", second, err, link)
	}

	tests := []struct {
		name, token, username, password, message string
	}{
		{"wrong token", "x" + token, "kim", password, "the set-up link is wrong or was replaced: use the one that the server printed, or the file setup-link in its data folder"},
		{"no token", "", "kim", password, "the set-up link is wrong or was replaced: use the one that the server printed, or the file setup-link in its data folder"},
		{"bad name and password", token, "kim lee", "short", "the account is not valid"},
	}
	for _, tt := range tests {
		_, _, err := s.Setup(t.Context(), secret.New(tt.token), tt.username, secret.New(tt.password))
		if fault.Message(err) != tt.message {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.message)
		}
	}
	cookie, who, err := s.Setup(t.Context(), secret.New(token), "Kim", secret.New(password))
	if err != nil || who.Caller.Name != "kim" {
		t.Fatalf("Setup = %+v, %v", who, err)
	}
	if _, err := s.who(t, with(cookie)); err != nil {
		t.Errorf("the new administrator is not signed in: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the used link is still in its file: %v", err)
	}
	_, _, err = s.Setup(t.Context(), secret.New(token), "lee", secret.New(password))
	if fault.Message(err) != "set-up is closed: an administrator exists already" {
		t.Errorf("the link a second time: %v", err)
	}
	if link, err := s.OpenSetup(t.Context(), s.dir, secret.New(password)); link != "" || err != nil {
		t.Errorf("OpenSetup after set-up = %q, %v; want nothing", link, err)
	}
}

func TestSetupRace(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080")
	link, err := s.OpenSetup(t.Context(), s.dir, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#token=")
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 200 {
		wg.Go(func() {
			_, _, err := s.Setup(t.Context(), secret.New(token), fmt.Sprint("admin", i), secret.New(password))
			switch {
			case err == nil:
				won.Add(1)
			case !fault.Is(err, fault.Conflict):
				t.Errorf("call %d: %v, want Conflict", i, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d administrators, want exactly 1", won.Load())
	}
}

func TestAPITokens(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080")
	admin := identity.Caller{Name: "admin", Role: identity.Admin, Folder: "/"}
	ends := s.clock().Add(time.Hour)
	token, value, err := s.CreateToken(t.Context(), admin, session.NewToken{Name: "ci", Role: identity.Operator, Folder: "/hr", ExpiresAt: &ends})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(value.Reveal(), "kf_") || len(value.Reveal()) != 3+43 {
		t.Errorf("token has %d characters, want kf_ and 32 bytes in base64url", len(value.Reveal()))
	}
	who, err := s.who(t, bearer(value.Reveal()))
	if want := (identity.Caller{Name: "token:ci", Role: identity.Operator, Folder: "/hr"}); err != nil || who.Caller != want || who.Session != "" {
		t.Errorf("who = %+v, %v; want %+v", who, err, want)
	}
	listed, err := s.Tokens(t.Context(), admin, session.TokenFilter{Limit: 10})
	if err != nil || len(listed) != 1 || listed[0].LastUsedAt == nil || !listed[0].LastUsedAt.Equal(s.clock()) {
		t.Errorf("listed %+v, %v; want one used now", listed, err)
	}
	s.pass(30 * time.Second) // below the precision: no second write
	if _, err := s.who(t, bearer(value.Reveal())); err != nil {
		t.Error(err)
	}
	if again, err := s.Tokens(t.Context(), admin, session.TokenFilter{Limit: 10}); err != nil || !again[0].LastUsedAt.Equal(*listed[0].LastUsedAt) {
		t.Errorf("last use was written within a minute: %+v, %v", again, err)
	}
	s.pass(time.Hour)
	if _, err := s.who(t, bearer(value.Reveal())); fault.Message(err) != "the API token is unknown, expired or revoked" {
		t.Errorf("expired token: %v", err)
	}
	s.pass(-2 * time.Hour)
	if err := s.RevokeToken(t.Context(), admin, token.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.who(t, bearer(value.Reveal())); fault.Message(err) != "the API token is unknown, expired or revoked" {
		t.Errorf("revoked token: %v", err)
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080")
	past, far := s.clock(), time.Date(9999, time.December, 31, 23, 0, 0, 0, time.FixedZone("", -12*60*60))
	admin := identity.Caller{Name: "admin", Role: identity.Admin, Folder: "/"}
	hr := identity.Caller{Name: "hr", Role: identity.Admin, Folder: "/hr"}
	tests := map[string]struct {
		caller identity.Caller
		token  session.NewToken
		want   []string // path: code, or one message
	}{
		"all wrong":    {admin, session.NewToken{Name: "", Role: "king", Folder: "hr", ExpiresAt: &past}, []string{"/name: invalid_name", "/role: unknown_role", "/folder: invalid_folder", "/expires_at: in_the_past"}},
		"year 10000":   {admin, session.NewToken{Name: "x", Role: identity.Viewer, ExpiresAt: &far}, []string{"/expires_at: too_late"}},
		"reserved":     {admin, session.NewToken{Name: "admin-token", Role: identity.Viewer}, []string{"/name: invalid_name"}},
		"above":        {hr, session.NewToken{Name: "up", Role: identity.Viewer, Folder: "/"}, []string{"hr needs the right administer in folder /"}},
		"beside":       {hr, session.NewToken{Name: "up", Role: identity.Viewer, Folder: "/hrx"}, []string{"hr needs the right administer in folder /hrx"}},
		"not an admin": {identity.Caller{Name: "ed", Role: identity.Editor, Folder: "/"}, session.NewToken{Name: "t", Role: identity.Viewer}, []string{"ed needs the right administer in folder /"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, value, err := s.CreateToken(t.Context(), tt.caller, tt.token)
			got := []string{fault.Message(err)}
			if problems := fault.ProblemsOf(err); len(problems) > 0 {
				got = nil
				for _, p := range problems {
					got = append(got, p.Path+": "+p.Code)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || value.IsSet() {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAuthenticateRefusals(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080").withAdmin(t)
	cookie, err := s.signIn(t, "admin", password)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"nothing":       {func(*http.Request) {}, "sign in, or send an API token"},
		"made-up token": {bearer("kf_" + strings.Repeat("A", 43)), "the API token is unknown, expired or revoked"},
		"empty token":   {bearer(""), "the API token is unknown, expired or revoked"},
		"basic":         {func(r *http.Request) { r.SetBasicAuth("admin", password) }, "send one Authorization header: Bearer and an API token"},
		"two headers": {func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer an-admin-token-of-the-folder", "Bearer x"}
		}, "send one Authorization header: Bearer and an API token"},
		"made-up cookie": {with(&http.Cookie{Name: "keyflow_session", Value: "guess"}), "the session has ended: sign in again"},
		"bad token with a good cookie": {func(r *http.Request) {
			r.AddCookie(cookie)
			bearer("kf_wrong")(r)
		}, "the API token is unknown, expired or revoked"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if who, err := s.who(t, tt.change); fault.Message(err) != tt.want || !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("who %+v, error %v; want %q", who, err, tt.want)
			}
		})
	}
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, session.AdminTokenFile)
	made, err := session.AdminToken(dir, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	assertPrivate(t, file, made.Reveal()+"\n")
	if again, err := session.AdminToken(dir, secret.Text{}); err != nil || !again.Equal(made) {
		t.Errorf("the token changed at the second start: %v", err)
	}
	fixed, err := session.AdminToken(dir, secret.New("fixed-by-the-operator"))
	if err != nil || fixed.Reveal() != "fixed-by-the-operator" {
		t.Errorf("fixed token: %v", err)
	}
	assertPrivate(t, file, "fixed-by-the-operator\n")
	for _, bad := range []string{"", "nineteen-characters", "twenty characters ok"} {
		if _, err := session.AdminToken(dir, secret.New(bad)); fault.Message(err) != "KEYFLOW_ADMIN_TOKEN must have at least 20 characters and no spaces" {
			t.Errorf("given %q: %v", bad, err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := session.AdminToken(dir, secret.Text{}); fault.Message(err) != file+" holds no token: delete the file to get a new one" {
		t.Errorf("empty file: %v", err)
	}

	s := newSetup(t, "http://127.0.0.1:8080")
	who, err := s.who(t, bearer("an-admin-token-of-the-folder"))
	if want := (identity.Caller{Name: "token:admin-token", Role: identity.Admin, Folder: "/"}); err != nil || who.Caller != want {
		t.Errorf("the folder's token: %+v, %v", who, err)
	}
}

func TestPresetAdminPasswordIsChecked(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "http://127.0.0.1:8080")
	_, err := s.OpenSetup(t.Context(), s.dir, secret.New("short"))
	if problems := fault.ProblemsOf(err); len(problems) != 1 || problems[0].Message != "a password has 8 to 1024 characters" {
		t.Errorf("problems %v, error %v", problems, err)
	}
}

func assertPrivate(t *testing.T, path, content string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v, want 0600", path, info.Mode().Perm())
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, content)
	}
}
