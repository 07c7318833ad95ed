package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A secret of a credential that an answer repeats is ***, and no later node sends that; the
// cookie of a login is sent by later nodes and shown by nothing, the database included.
func TestMaskedValuesAreNotSent(t *testing.T) {
	t.Parallel()
	const cookie = "c4nary-cookie-of-a-login"
	var got atomic.Value
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/login":
			w.Header().Set("Set-Cookie", "sid="+cookie+"; Path=/")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"key": "`+req.Header.Get("X-Key")+`", "id": 12345678901234567890, "note": "fine"}`)
		default:
			body, _ := io.ReadAll(req.Body)
			got.Store(req.Header.Get("Cookie") + " " + string(body))
			_, _ = io.WriteString(w, "seen: "+req.Header.Get("Cookie"))
		}
	}))
	t.Cleanup(up.Close)
	s := serve(t, "", "--log-level", "debug")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "key", "type": "api_key", "allowed_hosts": []string{strings.TrimPrefix(up.URL, "http://")},
		"fields": map[string]any{"key": "X-Key", "value": canaryHeader},
	})
	s.apply("masked", strings.ReplaceAll(`{"id": "masked", "nodes": {
	  "login": {"type": "web_request", "credential": "key", "with": {"url": "URL/login"}},
	  "fine": {"type": "web_request", "needs": ["login"], "with": {"method": "POST", "url": "URL/x", "body": {"id": "{{ nodes.login.output.body.id }}", "note": "{{ nodes.login.output.body.note }}"}}},
	  "x": {"type": "web_request", "needs": ["fine"], "with": {"method": "POST", "url": "URL/x", "body": {"key": "{{ nodes.login.output.body.key }}"}}}}}`, "URL", up.URL))
	run := s.run("masked", map[string]any{})
	if !strings.Contains(run.body, "a redacted value (***) cannot be used here") || !strings.Contains(run.body, `\"login\"`) {
		t.Errorf("the run says %s", run.body)
	}
	if sent, want := got.Load(), ` {"id":12345678901234567890,"note":"fine"}`; sent != want {
		t.Errorf("sent %q, want %q", sent, want)
	}
	s.apply("cookie", strings.ReplaceAll(`{"id": "cookie", "nodes": {
	  "login": {"type": "web_request", "sensitive": true, "credential": "key", "with": {"url": "URL/login"}},
	  "x": {"type": "web_request", "needs": ["login"], "with": {"method": "POST", "url": "URL/x", "body": "ok", "headers": {"Cookie": "{{ split(nodes.login.output.headers['set-cookie'], ';')[0] }}"}}}},
	  "output": "{{ nodes.x.output.body }}"}`, "URL", up.URL))
	run = s.run("cookie", map[string]any{})
	if sent, want := got.Load(), "sid="+cookie+" ok"; sent != want || !strings.Contains(run.body, `"succeeded"`) {
		t.Errorf("sent %q, want %q; the run says %s", sent, want, run.body)
	}
	s.stop()
	sweep := sweeper{canaries: map[string]string{"cookie": cookie, "key": canaryHeader}}
	sweep.add("run", run.body)
	sweep.add("log", s.stderr.String())
	sweep.files(t, s.dir)
	sweep.report(t)
}
