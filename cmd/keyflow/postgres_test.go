package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"keyflow/internal/database/databasetest"
)

// One process on Postgres: runs survive kill -9 as on SQLite, after the former owner has been
// silent long enough; finished steps are not repeated.
func TestKillOnPostgres(t *testing.T) {
	t.Parallel()
	const runs = 20
	up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	url := databasetest.PostgresURL(t)
	s := serve(t, "", "--database-url", url)
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "erp", "type": "basic_auth", "allowed_hosts": []string{upstream.URL}, "fields": map[string]any{"username": "it", "password": "canary-password"},
	})
	s.apply("slow", `{"id": "slow", "nodes": {
		"first":  {"type": "web_request", "credential": "erp", "with": {"url": "`+upstream.URL+`/first/{{ input.n }}"}},
		"second": {"type": "web_request", "credential": "erp", "needs": ["first"], "timeout": "5m", "with": {"url": "`+upstream.URL+`/slow/{{ input.n }}"}}
	}}`)
	ids := startSlow(t, s, up, runs)
	s.kill()
	up.open()
	s = serve(t, s.dir, "--database-url", url)
	for n, id := range ids {
		eventually(t, "run "+id+" succeeds", func() bool {
			return s.must(http.MethodGet, "/api/v1/runs/"+id, nil).json["status"] == "succeeded"
		})
		if got := up.count(fmt.Sprintf("/first/%d", n)); got != 1 {
			t.Errorf("run %d: its finished step was called %d times", n, got)
		}
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM\n%s", code, s.stderr)
	}
}
