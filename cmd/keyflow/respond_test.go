package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const respondWorkflow = `{"id": "orders", "triggers": {"in": {"type": "webhook", "path": "orders", "respond": "on_finish", "dedupe": "{{ trigger.request.headers['x-id'] }}"}},
	"nodes": {
		"say": {"type": "respond", "with": {"status": 201, "headers": {"Content-Type": "text/html", "X-Order": "{{ input.n }}"}, "body": "<script>alert({{ input.n }})</script>"}},
		"work": {"type": "web_request", "needs": ["say"], "timeout": "5m", "with": {"url": "UPSTREAM/slow/{{ input.n }}"}},
		"again": {"type": "respond", "needs": ["work"], "with": {"status": 500, "body": "second"}}
	}, "output": "{{ nodes.again.output.responded }}"}`

// A respond node answers while the run goes on; a repeat gets the same, at work, after kill -9
// and after the end; on Postgres also from a process that does not own the run.
func TestRespond(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		env := []string{"KEYFLOW_MASTER_KEY=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))), "KEYFLOW_ADMIN_TOKEN=" + strings.Repeat("t", 30)}
		up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
		upstream := httptest.NewServer(up)
		t.Cleanup(upstream.Close)
		s := serveWith(t, "", env, database...)
		s.apply("orders", strings.ReplaceAll(respondWorkflow, "UPSTREAM", upstream.URL))
		deliver := func(s *instance, again string) {
			t.Helper()
			var a answer
			eventually(t, "the webhooks are loaded", func() bool {
				a = s.do(http.MethodPost, "/hooks/orders", `{"n": 7}`, "Authorization", "", "X-Id", "d1")
				return a.status != http.StatusServiceUnavailable
			})
			if a.status != http.StatusCreated || a.body != "<script>alert(7)</script>" || a.header.Get("X-Order") != "7" || a.header.Get("Keyflow-Duplicate") != again {
				t.Errorf("%d %s %v", a.status, a.body, a.header)
			}
			if a.header.Get("Content-Security-Policy") != "sandbox" || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("it could act on our pages: %v", a.header)
			}
		}
		deliver(s, "")
		deliver(s, "true")
		if len(database) > 0 {
			deliver(serveWith(t, "", env, database...), "true")
		}
		s.kill()
		up.open()
		s = serveWith(t, s.dir, env, database...)
		deliver(s, "true")
		eventually(t, "the run ends", func() bool {
			return strings.Contains(s.must(http.MethodGet, "/api/v1/runs?workflow=orders", nil).body, `"succeeded"`)
		})
		deliver(s, "true")
		if n := s.runs("orders"); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}
