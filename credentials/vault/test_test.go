package vault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// result is a test's answer with its trace decoded.
type result struct {
	credentials.TestResult
	trace map[string]any
}

func decoded(t *testing.T, r credentials.TestResult, err error) result {
	t.Helper()
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fmt.Sprint(r.Message, r.Suggestion, string(r.Trace)), "canary") {
		t.Errorf("the result shows the secret: %+v %s", r, r.Trace)
	}
	out := result{TestResult: r}
	if err := json.Unmarshal(r.Trace, &out.trace); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTestOfStaticCredentials(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "sid=canary-session") // as good as the credential
		status := http.StatusOK
		if r.Header.Get("X-Key") != "canary-value-77" {
			status = http.StatusUnauthorized
		} else if r.URL.Path == "/admin" {
			status = http.StatusForbidden
		} else if r.URL.Path == "/gone" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"your_key": r.Header.Get("X-Key")})
	})
	tests := map[string]struct {
		path, value string
		ok          bool
		message     string
		suggestion  string
		state       credentials.Status
		rule        any
	}{
		"works": {"/me", "canary-value-77", true, api.host + " answered with status 200.", "", credentials.OK, nil},
		"refused": {"/me", "canary-wrong-77", false, api.host + ` refused the credential "refused" (status 401); enter a new secret or check its rights there`,
			"Enter the secret again, and check at the service that it is still valid.", credentials.Refused, "status 401: refuse"},
		"forbidden": {"/admin", "canary-value-77", false, "The service knows the credential but does not allow this (status 403).",
			"Check its rights, or test with another URL.", credentials.Untested, nil},
		"gone": {"/gone", "canary-value-77", false, api.host + " answered with status 404, which says nothing about the credential.", "Check the test URL.", credentials.Untested, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := apiKey(name, api.host, tt.value, fmt.Sprintf(`, "test_url": %q`, api.URL+tt.path))
			unsaved, err := n.TestInput(t.Context(), admin, input(t, text))
			if got := decoded(t, unsaved, err); got.OK != tt.ok || got.Message != tt.message {
				t.Errorf("unsaved: %+v", got.TestResult)
			}
			if _, err := n.Get(t.Context(), admin, credentials.ID(name)); !fault.Is(err, fault.NotFound) {
				t.Errorf("testing unsaved values stored them: %v", err)
			}
			n.create(t, text)
			saved, err := n.Test(t.Context(), admin, credentials.ID(name))
			got := decoded(t, saved, err)
			if got.OK != tt.ok || got.Message != tt.message || got.Suggestion != tt.suggestion || got.Status != tt.state {
				t.Errorf("saved: %+v", got.TestResult)
			}
			if diff := cmp.Diff(tt.rule, got.trace["rule"]); diff != "" {
				t.Errorf("rule (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]any{"method": "GET", "url": api.URL + tt.path, "authentication": "header X-Key"}, got.trace["request"]); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			body := got.trace["answer"].(map[string]any)["body"]
			if diff := cmp.Diff(map[string]any{"your_key": "***"}, body); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTestWithoutATestURL(t *testing.T) {
	t.Parallel()
	n := online(t)
	r, err := n.TestInput(t.Context(), admin, input(t, apiKey("key", "api.example.com", "key-12345", "")))
	if got := decoded(t, r, err); got.OK || got.Message != "The credential has no test URL, so nothing was sent." {
		t.Errorf("%+v", got.TestResult)
	}
	r, err = n.TestInput(t.Context(), admin, input(t, `{"id": "open", "type": "no_auth"}`))
	if got := decoded(t, r, err); !got.OK {
		t.Errorf("%+v", got.TestResult)
	}
	_, err = n.TestInput(t.Context(), admin, input(t, `{"id": "key", "type": "api_key", "fields": {"key": "X"}, "allowed_hosts": ["a.example.com"]}`))
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("invalid values: %v", err)
	}
	if _, err := n.Test(t.Context(), admin, "nope"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestTestReachesOnlyAllowedHosts(t *testing.T) {
	t.Parallel()
	n, stranger := online(t), serve(t, nil)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stranger.URL, http.StatusFound) })
	r, err := n.TestInput(t.Context(), admin, input(t, apiKey("key", api.host, "canary-value-77", fmt.Sprintf(`, "test_url": %q`, api.URL))))
	decoded(t, r, err)
	if seen := stranger.requests(); len(seen) != 1 || seen[0].Header.Get("X-Key") != "" {
		t.Errorf("the stranger saw %+v", seen)
	}
}

func TestTestOfClientCredentials(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	good := clientCredentials("crm", p, fmt.Sprintf(`, "test_url": %q`, p.ResourceURL))
	r, err := n.TestInput(t.Context(), admin, input(t, good))
	if got := decoded(t, r, err); !got.OK || got.Status != credentials.OK {
		t.Errorf("unsaved: %+v %s", got.TestResult, got.Trace)
	}
	n.create(t, good)
	r, err = n.Test(t.Context(), admin, "crm")
	got := decoded(t, r, err)
	if !got.OK || got.Status != credentials.OK || !strings.HasSuffix(got.Message, "answered with status 200.") {
		t.Errorf("saved: %+v", got.TestResult)
	}
	asked := len(p.TokenRequests())
	mustGet(t, n, "crm", p.ResourceURL)
	if len(p.TokenRequests()) != asked {
		t.Error("the token of the test is not used")
	}
	r, err = n.TestInput(t.Context(), admin, input(t, strings.Replace(good, p.ClientSecret, "canary-client-77", 1)))
	if got := decoded(t, r, err); got.OK || !strings.HasPrefix(got.Message, "the provider answered invalid_client") || got.Suggestion != "Check client ID, client secret and scope at the provider." {
		t.Errorf("wrong secret: %+v", got.TestResult)
	}
	r, err = n.TestInput(t.Context(), admin, input(t, strings.Replace(good, p.TokenURL, "http://127.0.0.1:1/token", 1)))
	if got := decoded(t, r, err); got.OK || !strings.HasPrefix(got.Suggestion, "Check the access token URL, and whether this server may and can reach it") {
		t.Errorf("nobody at the token URL: %+v", got.TestResult)
	}
	n.advance(time.Hour)
	r, err = n.TestInput(t.Context(), admin, input(t, good))
	if got := decoded(t, r, err); !strings.HasPrefix(fmt.Sprint(got.trace["clock_skew"]), "1h0m") && !strings.HasPrefix(fmt.Sprint(got.trace["clock_skew"]), "59m") {
		t.Errorf("clock skew %v", got.trace["clock_skew"])
	}
}

func TestTestSuggestsTheOtherClientAuthentication(t *testing.T) {
	t.Parallel()
	n := online(t)
	picky := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error": "invalid_client"}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"access_token": "canary-token-1", "expires_in": 60}`)
	})
	r, err := n.TestInput(t.Context(), admin, input(t, scriptedCredential(picky, picky.URL)))
	got := decoded(t, r, err)
	if got.OK || got.Suggestion != `The provider refuses the client authentication "header"; "body" works.` {
		t.Errorf("%+v", got.TestResult)
	}
	if requests, ok := got.trace["token_requests"].([]any); !ok || len(requests) != 2 {
		t.Errorf("trace %s", got.Trace)
	}
}

func TestTestOfAuthorizationCode(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	r, err := n.Test(t.Context(), admin, "crm")
	if got := decoded(t, r, err); got.OK || got.Status != credentials.NeedsConnect || got.Message != "The credential is not connected." || got.Suggestion != "Press Connect and sign in at the provider." {
		t.Errorf("not connected: %+v", got.TestResult)
	}
	r, err = n.TestInput(t.Context(), admin, input(t, strings.Replace(authorizationCode("other", p), `"id"`, `"description": "x", "id"`, 1)))
	if got := decoded(t, r, err); got.OK || got.Suggestion != "Save the credential, then press Connect." {
		t.Errorf("unsaved: %+v", got.TestResult)
	}
	connect(t, n, p, "crm")
	r, err = n.Test(t.Context(), admin, "crm")
	if got := decoded(t, r, err); !got.OK || !strings.HasPrefix(got.Message, "The token was renewed, valid for ") {
		t.Errorf("connected: %+v", got.TestResult)
	}
	p.RevokeAll()
	r, err = n.Test(t.Context(), admin, "crm")
	if got := decoded(t, r, err); got.OK || got.Status != credentials.NeedsReconnect {
		t.Errorf("revoked: %+v", got.TestResult)
	}
}
