package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sixMistakes is a workflow with six different mistakes.
const sixMistakes = `{
  "id": "Bad Id",
  "nodes": {
    "a": {"type": "web_request", "with": {"url": "https://example.com", "metod": "GET"}},
    "b": {"type": "web_reqest", "needs": ["lead"], "with": {}},
    "c": {"type": "transform", "needs": ["a"], "with": {"value": "{{ 1 + }}"}},
    "d": {"type": "transform", "with": {"value": "{{ nodes.a.output }}"}},
    "e": {"type": "transform", "timeout": "soon", "with": {"value": 1}}
  }
}
`

func TestValidatePrintsEveryMistakeWithItsPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(file, []byte(sixMistakes), 0o600); err != nil {
		t.Fatal(err)
	}
	r := keyflow(t, nil, "validate", file)
	if r.code != exitUsage {
		t.Errorf("exit code %d, want %d", r.code, exitUsage)
	}
	var places []string
	for line := range strings.Lines(r.stdout) {
		if strings.HasPrefix(line, " ") { // the expression with its caret
			continue
		}
		m := regexp.MustCompile(`^.*bad\.json:(\d+:\d+: [^:]+): .+`).FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Errorf("not file:line:col: pointer: message: %s", line)
			continue
		}
		places = append(places, m[1])
	}
	want := []string{
		"2:9: /id", "4:72: /nodes/a/with/metod", "5:18: /nodes/b/type", "5:43: /nodes/b/needs/0",
		"6:65: /nodes/c/with/value", "7:48: /nodes/d/with/value", "8:46: /nodes/e/timeout",
	}
	for _, p := range want {
		pointer := strings.SplitN(p, " ", 2)[1]
		found := false
		for _, got := range places {
			found = found || strings.HasSuffix(got, " "+pointer)
		}
		if !found {
			t.Errorf("no problem at %s:\n%s", p, r.stdout)
		}
	}
	for _, hint := range []string{`"method"`, `"web_request"`} {
		if !strings.Contains(r.stdout, hint) {
			t.Errorf("no hint at %s:\n%s", hint, r.stdout)
		}
	}
}

// The API's answers to bad input: status, and a detail that says what, where and how.
func TestBadInputOverHTTP(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	erp := map[string]any{"id": "erp", "type": "basic_auth", "allowed_hosts": []string{"erp.example.com"}, "fields": map[string]any{"username": "u", "password": "canary-password"}}
	s.must(http.MethodPost, "/api/v1/credentials", erp)
	s.apply("w", `{"id": "w", "nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`)
	etag := s.must(http.MethodGet, "/api/v1/credentials/erp", nil).header.Get("ETag")
	s.must(http.MethodPatch, "/api/v1/credentials/erp", map[string]any{"name": "ERP"})
	tests := []struct {
		name, method, path string
		body               any
		header             []string
		status             int
		want               string // in the answer
	}{
		{"malformed JSON", http.MethodPost, "/api/v1/credentials", `{"id": `, nil, 400, ""},
		{"malformed workflow", http.MethodPut, "/api/v1/workflows/x", `{"id": "x",`, nil, 400, ""},
		{"duplicate key", http.MethodPut, "/api/v1/workflows/x", `{"id": "x", "id": "x", "nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`, nil, 422, "/id"},
		{"cycle", http.MethodPut, "/api/v1/workflows/x", `{"id": "x", "nodes": {"a": {"type": "transform", "needs": ["b"], "with": {"value": 1}}, "b": {"type": "transform", "needs": ["a"], "with": {"value": 1}}}}`, nil, 422, "a → b → a"},
		{"id differs from path", http.MethodPut, "/api/v1/workflows/x", `{"id": "y", "nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`, nil, 422, "/id"},
		{"id already taken", http.MethodPost, "/api/v1/credentials", erp, nil, 409, "already exists"},
		{"stale If-Match", http.MethodPatch, "/api/v1/credentials/erp", map[string]any{"name": "x"}, []string{"If-Match", etag}, 412, ""},
		{"unknown field", http.MethodPatch, "/api/v1/credentials/erp", map[string]any{"fields": map[string]any{"pasword": "canary-typo"}}, nil, 422, "/fields/pasword"},
		{"change of type", http.MethodPatch, "/api/v1/credentials/erp", map[string]any{"type": "api_key"}, nil, 422, "/type"},
		{"host widened without the secret", http.MethodPatch, "/api/v1/credentials/erp", map[string]any{"allowed_hosts": []string{"evil.example"}}, nil, 422, "/allowed_hosts"},
		{"no such credential", http.MethodGet, "/api/v1/credentials/nope", nil, nil, 404, "nope"},
		{"no such route", http.MethodGet, "/api/v1/nope", nil, nil, 404, ""},
		{"wrong token", http.MethodGet, "/api/v1/credentials", nil, []string{"Authorization", "Bearer wrong"}, 401, ""},
		{"no token", http.MethodGet, "/api/v1/runs", nil, []string{"Authorization", ""}, 401, ""},
		{"limit over 200", http.MethodGet, "/api/v1/runs?limit=201", nil, nil, 422, "200"},
		{"body too large", http.MethodPut, "/api/v1/workflows/w", `{"description": "` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, ""},
		{"webhook nobody declared", http.MethodPost, "/hooks/nope", `{}`, nil, 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := s.do(tt.method, tt.path, tt.body, tt.header...)
			if a.status != tt.status || !strings.Contains(a.body, tt.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, tt.status, tt.want)
			}
			if got := a.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q, want application/problem+json", got)
			}
			if strings.Contains(a.body, "canary") {
				t.Errorf("the answer repeats what was submitted: %s", a.body)
			}
		})
	}
}

// What goes wrong only at run time ends in a step error with a stable code.
func TestErrorCodesOfSteps(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "here", "type": "basic_auth", "allowed_hosts": []string{"erp.example.com"}, "fields": map[string]any{"username": "u", "password": "p"},
	})
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "elsewhere", "type": "no_auth", "folder": "/hr",
	})
	node := func(extra string) string {
		return `{"id": "w", "nodes": {"a": {"type": "web_request", ` + extra + `}}}`
	}
	tests := map[string]struct{ definition, code string }{
		"unknown credential":   {node(`"credential": "{{ 'no' + 'pe' }}", "with": {"url": "https://erp.example.com"}`), "credential_unknown"},
		"forbidden credential": {node(`"credential": "{{ 'else' + 'where' }}", "with": {"url": "https://erp.example.com"}`), "workflow_not_allowed"},
		"host not allowed":     {node(`"credential": "here", "with": {"url": "https://other.example.com"}`), "host_not_allowed"},
		"user info":            {node(`"with": {"url": "https://u:p@example.com"}`), "invalid_param"},
		"bad url":              {node(`"with": {"url": "{{ 'ftp' }}://example.com"}`), "invalid_param"},
		"expression":           {node(`"with": {"url": "https://{{ input.host + 1 }}"}`), "expression"},
		"refused connection":   {node(`"with": {"url": "http://` + closedAddress(t) + `"}`), "network"},
	}
	got := map[string]string{}
	want := map[string]string{}
	for name, tt := range tests {
		s.apply("w", tt.definition)
		r := s.run("w", map[string]any{})
		e, _ := r.json["error"].(map[string]any)
		got[name], want[name] = text(e["code"]), tt.code
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error codes (-want +got):\n%s", diff)
	}
}
