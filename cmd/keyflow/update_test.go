package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"keyflow/credentials/oauth/oauthtest"
)

// wire is go-httpbin behind a recorder of the authentication that each call carried.
type wire struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string][]string // X-Step header -> what authenticated it
}

func newWire(t *testing.T, gate <-chan struct{}) *wire {
	t.Helper()
	w := &wire{seen: map[string][]string{}}
	bin := httpbin.New()
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		for _, other := range []string{r.Header.Get("X-Api-Key"), r.URL.Query().Get("api_key"), r.Header.Get("Cookie")} {
			if other != "" {
				auth = other
			}
		}
		w.mu.Lock()
		step := r.Header.Get("X-Step")
		w.seen[step] = append(w.seen[step], auth)
		w.mu.Unlock()
		if step == "gate" {
			<-gate
		}
		bin.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) auth(step string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[step]
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// One web_request per authentication type succeeds and the upstream saw the right
// authentication.
func TestEachTypeAuthenticates(t *testing.T) {
	t.Parallel()
	up := newWire(t, nil)
	provider := oauthtest.New(t, oauthtest.Options{})
	s := serve(t, "")
	create := func(id, typ string, fields map[string]any) {
		in := map[string]any{"id": id, "type": typ, "fields": fields}
		if typ != "no_auth" {
			in["allowed_hosts"] = []string{up.URL, provider.URL}
		}
		s.must(http.MethodPost, "/api/v1/credentials", in)
	}
	create("none", "no_auth", map[string]any{})
	create("erp", "basic_auth", map[string]any{"username": "it", "password": "basic-password-1"})
	create("key", "api_key", map[string]any{"key": "X-Api-Key", "value": "header-key-1", "prefix": "Token "})
	create("key-query", "api_key", map[string]any{"key": "api_key", "value": "query-key-1", "in": "query"})
	create("key-cookie", "api_key", map[string]any{"key": "session", "value": "cookie-key-1", "in": "cookie"})
	create("oauth", "oauth2", map[string]any{
		"grant_type": "client_credentials", "access_token_url": provider.TokenURL, "client_id": provider.ClientID, "client_secret": provider.ClientSecret,
	})
	node := func(credential, path string) string {
		return fmt.Sprintf(`"n_%s": {"type": "web_request", "credential": %q, "with": {"url": %q, "headers": {"X-Step": %q}}, "output": "{{ this.status }}"}`,
			strings.ReplaceAll(credential, "-", "_"), credential, up.URL+path, credential)
	}
	nodes := []string{
		node("none", "/get"), node("erp", "/basic-auth/it/basic-password-1"), node("key", "/headers"),
		node("key-query", "/get"), node("key-cookie", "/cookies"),
		fmt.Sprintf(`"n_oauth": {"type": "web_request", "credential": "oauth", "with": {"url": %q}, "output": "{{ this.status }}"}`, provider.ResourceURL),
	}
	s.apply("types", `{"id": "types", "nodes": {`+strings.Join(nodes, ",")+`}}`)
	if r := s.run("types", map[string]any{}); r.json["status"] != "succeeded" {
		t.Fatalf("run: %s", r.body)
	}
	got := map[string][]string{}
	want := map[string][]string{
		"none": {""}, "erp": {basic("it", "basic-password-1")}, "key": {"Token header-key-1"},
		"key-query": {"query-key-1"}, "key-cookie": {"session=cookie-key-1"},
	}
	for step := range want {
		got[step] = up.auth(step)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the upstream saw (-want +got):\n%s", diff)
	}
	if provider.ResourceCalls() != 1 || len(provider.TokenRequests()) != 1 {
		t.Errorf("%d calls with a bearer token, %d token requests; want 1 and 1", provider.ResourceCalls(), len(provider.TokenRequests()))
	}
}

// P1: after one update, the next run and the steps of a run in flight that have not started
// use the new value.
func TestOneUpdateReachesRunsInFlight(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	up := newWire(t, gate)
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "erp", "type": "basic_auth", "allowed_hosts": []string{up.URL}, "fields": map[string]any{"username": "it", "password": "former-password"},
	})
	node := func(id, needs, credential string) string {
		return fmt.Sprintf(`%q: {"type": "web_request", "needs": [%s], "credential": %q, "with": {"url": %q, "headers": {"X-Step": %q}}, "timeout": "2m"}`, id, needs, credential, up.URL+"/get", id)
	}
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "open", "type": "no_auth"})
	s.apply("flight", `{"id": "flight", "nodes": {`+node("before", "", "erp")+","+node("gate", `"before"`, "open")+","+node("after", `"gate"`, "erp")+`}}`)
	id := text(s.must(http.MethodPost, "/api/v1/workflows/flight/runs", map[string]any{}).json["id"])
	eventually(t, "the run is in flight", func() bool { return len(up.auth("gate")) == 1 })

	r := keyflowIn(t, `{"fields": {"password": "new-password"}}`, s.env(), "credentials", "update", "erp", "--from-file", "-")
	if r.code != exitOK || !strings.Contains(r.stdout, "credential erp, version 2") {
		t.Fatalf("credentials update: %d %s%s", r.code, r.stdout, r.stderr)
	}
	close(gate)
	eventually(t, "the run ends", func() bool {
		return s.must(http.MethodGet, "/api/v1/runs/"+id, nil).json["status"] == "succeeded"
	})
	s.run("flight", map[string]any{})
	want := map[string][]string{
		"before": {basic("it", "former-password"), basic("it", "new-password")},
		"after":  {basic("it", "new-password"), basic("it", "new-password")},
	}
	got := map[string][]string{"before": up.auth("before"), "after": up.auth("after")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the upstream saw (-want +got):\n%s", diff)
	}
}
