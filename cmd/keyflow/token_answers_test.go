package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// repeated is one text again and again, n bytes of it.
func repeated(text string, n int64) io.Reader { return io.LimitReader(&repeater{text: text}, n) }

type repeater struct {
	text string
	at   int
}

// Read implements io.Reader.
func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// memory is what the process has ever asked the system for, in bytes.
func (s *instance) memory() float64 {
	s.t.Helper()
	found := regexp.MustCompile(`(?m)^go_memstats_sys_bytes (\S+)$`).FindStringSubmatch(s.must(http.MethodGet, "/metrics", nil).body)
	if found == nil {
		s.t.Fatal("no metric of the memory")
	}
	bytes, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return bytes
}

// An answer that is no token answer costs little memory, says what it is, and takes away
// neither the token nor, while that lasts, the use of the credential.
func TestTokenAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	if _, err := io.Copy(packed, repeated("x", 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		answer  func(w http.ResponseWriter)
		message string
	}{
		"64 MiB of a token": {func(w http.ResponseWriter) {
			_, _ = io.Copy(w, io.MultiReader(strings.NewReader(`{"access_token":"`), repeated("x", 64<<20), strings.NewReader(`"}`)))
		}, "the token answer is larger than 1 MiB"},
		"64 MiB of objects": {func(w http.ResponseWriter) { _, _ = io.Copy(w, repeated(`{"a":`, 64<<20)) }, "the token answer is larger than 1 MiB"},
		"64 MiB, compressed": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, "the token answer is larger than 1 MiB"},
		"HTML": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title>")
		}, "the answer is neither JSON nor form-encoded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			odd := false
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now := odd
				mu.Unlock()
				switch {
				case r.URL.Path == "/api":
					_, _ = io.WriteString(w, strconv.Quote(r.Header.Get("Authorization")))
				case now:
					tt.answer(w)
				default:
					_, _ = io.WriteString(w, `{"access_token": "first-token-of-all", "expires_in": 3600}`)
				}
			}))
			t.Cleanup(up.Close)
			s := serve(t, "")
			s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
				"id": "crm", "type": "oauth2", "allowed_hosts": []string{up.URL},
				"fields": map[string]any{"grant_type": "client_credentials", "access_token_url": up.URL + "/token", "client_id": "c", "client_secret": "client-secret"},
			})
			s.apply("w", fmt.Sprintf(`{"id": "w", "nodes": {"call": {"type": "web_request", "credential": "crm", "with": {"url": %q}}}}`, up.URL+"/api"))
			works := func(when, state string) {
				t.Helper()
				if run := s.run("w", map[string]any{}); text(run.json["status"]) != "succeeded" {
					t.Fatalf("%s: %s", when, run.body)
				}
				if a := s.must(http.MethodGet, "/api/v1/credentials/crm", nil); !strings.Contains(a.body, state) {
					t.Errorf("%s: %s", when, a.body)
				}
			}
			turn := func(now bool) {
				mu.Lock()
				defer mu.Unlock()
				odd = now
			}
			works("with a token", `"status":"ok"`)
			turn(true)
			before := s.memory()
			for range 4 {
				a := s.do(http.MethodPost, "/api/v1/credentials/crm/refresh", nil)
				if a.status < http.StatusBadRequest || !strings.Contains(a.body, tt.message) || len(a.body) > 4096 {
					t.Errorf("refresh: %d %.4096s", a.status, a.body)
				}
			}
			if more := s.memory() - before; more > 48<<20 {
				t.Errorf("the answers took %.0f MiB", more/(1<<20))
			}
			works("after the answers", `"state":{"status":"refused","message":"`) // its renewal fails, the token is kept
			turn(false)
			s.must(http.MethodPost, "/api/v1/credentials/crm/refresh", nil)
			works("after a renewal that works", `"status":"ok"`)
		})
	}
}

// A secret is stored exactly as it was given, or refused; never altered.
func TestSecretsAreKeptExactlyOrRefused(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"same": err == nil && query.Get("key") == query.Get("want")})
	}))
	t.Cleanup(up.Close)
	s := serve(t, "")
	s.apply("w", fmt.Sprintf(`{"id": "w", "nodes": {"call": {"type": "web_request", "credential": "key", "with": {"url": %q, "query": {"want": "{{ input.want }}"}}}}, "output": "{{ nodes.call.output.body.same }}"}`, up.URL))
	tests := map[string]struct {
		value  string // as JSON, with its quotes
		status int    // of the refusal; 0: kept
		says   string
	}{
		"newlines":               {`"-----BEGIN\r\nline\n\tline\r\n-----END\n"`, 0, ""},
		"control characters":     {`"a\u0000b\u0001\u001b[31m\u007f"`, 0, ""},
		"spaces around":          {`"  secret value\t"`, 0, ""},
		"quotes and backslashes": {`"\\\"'<&>\\u0041"`, 0, ""},
		"Korean, emoji, marks":   {`"비밀 \ud83d\ude00 \ufeff\ufffd e\u0301"`, 0, ""},
		"as long as possible":    {`"` + strings.Repeat("k", 64<<10) + `"`, 0, ""},
		"empty":                  {`""`, http.StatusUnprocessableEntity, `"path":"/fields/value"`},
		"too long":               {`"` + strings.Repeat("k", 64<<10+1) + `"`, http.StatusUnprocessableEntity, "is longer than 64 KiB"},
		"1 MiB":                  {`"` + strings.Repeat("k", 1<<20) + `"`, http.StatusRequestEntityTooLarge, "the body is too large"},
		"binary":                 {"\"secret\xff\xfe\"", http.StatusBadRequest, "the body is not valid UTF-8"},
		"half of a character":    {`"secret\ud800"`, http.StatusBadRequest, "the body is not valid UTF-8"},
		"other half":             {`"\udc00secret"`, http.StatusBadRequest, "the body is not valid UTF-8"},
	}
	for name, tt := range tests {
		body := fmt.Sprintf(`{"id": "key", "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "key", "in": "query", "value": %s}}`, up.URL, tt.value)
		bodies := map[string]string{"/api/v1/credentials": body, "/api/v1/credentials/import": "[" + body + "]"}
		for path, body := range bodies {
			s.do(http.MethodDelete, "/api/v1/credentials/key?force=true", nil)
			a := s.do(http.MethodPost, path, body)
			status, says := tt.status, tt.says
			if path == "/api/v1/credentials/import" {
				says = strings.Replace(says, `"/fields`, `"/items/0/fields`, 1)
				if status == http.StatusRequestEntityTooLarge { // an import may be larger, its secrets not
					status, says = http.StatusUnprocessableEntity, "is longer than 64 KiB"
				}
			}
			if status != 0 {
				if a.status != status || !strings.Contains(a.body, says) || len(a.body) > 4096 {
					t.Errorf("%s by %s: %d %.4096s", name, path, a.status, a.body)
				}
				continue
			}
			if a.status >= http.StatusBadRequest {
				t.Errorf("%s by %s: %d %.4096s", name, path, a.status, a.body)
				continue
			}
			if run := s.do(http.MethodPost, "/api/v1/workflows/w/runs?wait=30s", `{"input": {"want": `+tt.value+`}}`); run.json["output"] != true {
				t.Errorf("%s by %s arrived as something else: %.2000s", name, path, run.body)
			}
		}
	}
}
