package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a caller sees of a limit that is reached: 409 and no run, or a run that says what it waits for.
func TestConcurrencyAtTheDoor(t *testing.T) {
	t.Parallel()
	up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	s := serve(t, "")
	for _, policy := range []string{"skip", "queue"} {
		s.apply(policy, fmt.Sprintf(`{"id": %q, "concurrency": {"limit": 1, "on_limit": %q}, "triggers": {"in": {"type": "webhook", "path": %q}},
			"nodes": {"n": {"type": "web_request", "timeout": "5m", "with": {"url": "%s/slow/%s"}}}}`, policy, policy, policy, upstream.URL, policy))
		if got := s.do(http.MethodPost, "/api/v1/workflows/"+policy+"/runs", map[string]any{}); got.status != http.StatusAccepted {
			t.Fatalf("first start: %d %s", got.status, got.body)
		}
	}
	for _, path := range []string{"/api/v1/workflows/skip/runs", "/hooks/skip"} {
		got := s.do(http.MethodPost, path, map[string]any{})
		if got.status != http.StatusConflict || !strings.Contains(string(got.body), "its limit") || s.runs("skip") != 1 {
			t.Errorf("%s: %d %s; want 409 and no run", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/api/v1/workflows/queue/runs", "/hooks/queue"} {
		if got := s.do(http.MethodPost, path, map[string]any{}); got.status != http.StatusAccepted {
			t.Errorf("%s: %d %s; want 202", path, got.status, got.body)
		}
	}
	waiting := string(s.must(http.MethodGet, "/api/v1/runs?workflow=queue&status=queued", nil).body)
	if strings.Count(waiting, `"waiting_for":"slot"`) != 2 {
		t.Errorf("list: %s", waiting)
	}
	up.open()
	eventually(t, "all have run", func() bool {
		return strings.Count(string(s.must(http.MethodGet, "/api/v1/runs?workflow=queue&status=succeeded", nil).body), `"status":"succeeded"`) == 3
	})
}
