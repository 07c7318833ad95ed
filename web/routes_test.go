package web

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
)

// openRoutes are all that may be called by anybody; the list is here a second time so that
// opening a route takes two edits.
func openRoutes() []string {
	return []string{
		"DELETE /api/v1/session",
		"GET /api/_/credentials/oauth_callback", // answers 401 itself, as a page
		"GET /api/v1/setup",
		"GET /docs",
		"GET /healthz",
		"GET /openapi.json",
		"GET /readyz",
		"POST /api/v1/session",
		"POST /api/v1/setup",
	}
}

func routesOf(t *testing.T, h http.Handler) []string {
	t.Helper()
	s, ok := h.(*server)
	if !ok {
		t.Fatalf("handler is a %T", h)
	}
	return s.api.Routes()
}

func TestEveryRouteIsClosedUnlessListed(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	anonymous := s.anonymous()
	var open []string
	for _, pattern := range routesOf(t, s.handler) {
		method, path, _ := strings.Cut(pattern, " ")
		path = regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, "1")
		answers := map[string]got{
			"anonymous":   anonymous.do(method, path, ""),
			"bad token":   anonymous.do(method, path, "", "Authorization", "Bearer kf_wrong"),
			"bad cookie":  anonymous.do(method, path, "", "Cookie", "keyflow_session=guess"),
			"basic":       anonymous.do(method, path, "", "Authorization", "Basic YWRtaW46YWRtaW4="),
			"with a body": anonymous.do(method, path, `{"id":"x"}`),
		}
		if slices.Contains(openRoutes(), pattern) {
			open = append(open, pattern)
			continue
		}
		for name, got := range answers {
			if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s, %s: status %d, want 401 with WWW-Authenticate\n%s", pattern, name, got.status, got.body)
			}
			checkProblem(t, pattern+", "+name, got)
		}
	}
	slices.Sort(open)
	if diff := cmp.Diff(openRoutes(), open); diff != "" {
		t.Errorf("open routes (-listed +registered):\n%s", diff)
	}
	if got := anonymous.do("GET", credentials.CallbackPath+"?code=canary-code&state=canary-state", ""); got.status != http.StatusUnauthorized {
		t.Errorf("callback without a session: status %d, want 401", got.status)
	}
}

// A closed route stays closed however its path is dressed up.
func TestPathTricksOpenNothing(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	if got := s.admin().do("GET", "/api/v1/credentials", ""); got.status != 200 {
		t.Fatalf("with a token: %d", got.status)
	}
	for _, path := range []string{
		"/api/v1/credentials/healthz", "/api/v1/credentials/..%2f..%2f..%2fhealthz", "/healthz/../api/v1/credentials",
		"/api/v1/credentials;/healthz", "/api/v1/credentials?x=/healthz", "//api/v1/credentials", "/api/v1//credentials",
		"/API/V1/credentials", "/api/v1/credentials/", "/api/v1/credentials%2f", "/hooks/../api/v1/credentials",
		"/docs/../api/v1/credentials", "/api/v1/credentials#/docs", "/api/./v1/credentials", "/metrics/", "/%6detrics",
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			got := s.anonymous().do(method, path, "", "Accept", "text/event-stream")
			if got.status != 401 && got.status != 404 && got.status != 405 {
				t.Errorf("%s %s: status %d, want 401, 404 or 405\n%s", method, path, got.status, got.body)
			}
		}
	}
}

func TestUnknownRoutesAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.admin().run([]scenario{
		{name: "unknown path", method: "GET", path: "/api/v1/nothing", status: 404, has: []string{"nothing is at this path"}},
		{name: "unknown path, POST", method: "POST", path: "/api/v1/nothing", body: "{}", status: 404},
		{name: "unknown version", method: "GET", path: "/api/v2/credentials", status: 404},
		{name: "missing file", method: "GET", path: "/nothing.js", status: 404},
		{name: "page by POST", method: "POST", path: "/credentials", body: "{}", status: 404},
		{name: "wrong method", method: "PUT", path: "/api/v1/credentials", body: "{}", status: 405, has: []string{"this path takes GET, HEAD, POST"}},
		{name: "invented method", method: "BREW", path: "/healthz", status: 405},
	})
	if got := s.admin().do("PUT", "/api/v1/credentials", "{}"); got.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("Allow of a 405: %q", got.header.Get("Allow"))
	}
}

func TestSecurityHeadersAreEverywhere(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	tests := map[string]string{ // path: what the policy must hold
		"/api/v1/credentials":    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"/api/v1/nothing":        "default-src 'none'",
		"/healthz":               "default-src 'none'",
		"/docs":                  "default-src 'none'; script-src 'self'; style-src 'nonce-",
		"/":                      "script-src 'self'; style-src 'self' 'nonce-",
		"/app.js":                "default-src 'none'",
		"/hooks/x":               "sandbox",
		credentials.CallbackPath: "default-src 'none'; script-src 'self'; style-src 'nonce-",
	}
	for path, policy := range tests {
		h := s.anonymous().do("GET", path, "").header
		if !strings.Contains(h.Get("Content-Security-Policy"), policy) {
			t.Errorf("%s: policy %q lacks %q", path, h.Get("Content-Security-Policy"), policy)
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: policy %q", path, h.Get("Content-Security-Policy"))
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Strict-Transport-Security": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
		if h.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", path)
		}
	}
}
