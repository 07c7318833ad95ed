package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// recorder is an upstream that counts each call by its path and answers slowly.
type recorder struct {
	mu    sync.Mutex
	calls map[string]int
	gate  chan struct{} // while open, calls to /slow/ wait
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.calls[req.URL.Path]++
	gate := r.gate
	r.mu.Unlock()
	if gate != nil && len(req.URL.Path) > 6 && req.URL.Path[:6] == "/slow/" {
		select {
		case <-gate:
		case <-req.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"ok":true}`)
}

func (r *recorder) count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[path]
}

// open lets the waiting calls and all later ones through.
func (r *recorder) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.gate)
	r.gate = nil
}

// startSlow starts runs of the workflow "slow" with the inputs {"n": 0} and so on, and waits
// until each of them has called /slow/n.
func startSlow(t *testing.T, s *instance, up *recorder, runs int) []string {
	t.Helper()
	ids := make([]string, runs)
	for n := range runs {
		ids[n] = text(s.must(http.MethodPost, "/api/v1/workflows/slow/runs", map[string]any{"input": map[string]any{"n": n}}).json["id"])
	}
	eventually(t, "every run is in its slow step", func() bool {
		for n := range runs {
			if up.count(fmt.Sprintf("/slow/%d", n)) != 1 {
				return false
			}
		}
		return true
	})
	return ids
}

// P4 and P5: 100 runs in flight on a slow upstream, kill -9, start again: all end, and no
// step that was recorded as finished is called again.
func TestKillWithRunsInFlight(t *testing.T) {
	t.Parallel()
	const runs = 100
	up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	s := serve(t, "")
	s.apply("slow", `{"id": "slow", "nodes": {
		"first":  {"type": "web_request", "with": {"url": "`+upstream.URL+`/first/{{ input.n }}"}, "output": "{{ this.body.ok }}"},
		"second": {"type": "web_request", "needs": ["first"], "timeout": "5m", "with": {"url": "`+upstream.URL+`/slow/{{ input.n }}"}, "output": "{{ this.body.ok }}"},
		"third":  {"type": "web_request", "needs": ["second"], "with": {"url": "`+upstream.URL+`/third/{{ input.n }}"}, "output": "{{ this.body.ok }}"}
	}, "output": "{{ nodes.third.output }}"}`)
	ids := startSlow(t, s, up, runs)

	s.kill()
	up.open()
	s = serve(t, s.dir)
	for n, id := range ids {
		var run answer
		eventually(t, "run "+id+" ends", func() bool {
			run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
			status := run.json["status"]
			return status == "succeeded" || status == "failed" || status == "canceled"
		})
		if run.json["status"] != "succeeded" || run.json["output"] != true {
			t.Errorf("run %d: %s", n, run.body)
		}
		if got := up.count(fmt.Sprintf("/first/%d", n)); got != 1 {
			t.Errorf("run %d: its finished step was called %d times", n, got)
		}
		if got := up.count(fmt.Sprintf("/slow/%d", n)); got != 2 {
			t.Errorf("run %d: the step in flight was called %d times, want once before and once after", n, got)
		}
		if got := up.count(fmt.Sprintf("/third/%d", n)); got != 1 {
			t.Errorf("run %d: the last step was called %d times", n, got)
		}
	}
}

// A graceful stop lets the step in flight end and the next start goes on from there.
func TestGracefulStopHandsRunsBack(t *testing.T) {
	t.Parallel()
	up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	s := serve(t, "")
	s.apply("w", `{"id": "w", "nodes": {
		"a": {"type": "web_request", "with": {"url": "`+upstream.URL+`/slow/a"}},
		"b": {"type": "web_request", "needs": ["a"], "with": {"url": "`+upstream.URL+`/b"}}
	}}`)
	id := text(s.must(http.MethodPost, "/api/v1/workflows/w/runs", map[string]any{}).json["id"])
	eventually(t, "the step is in flight", func() bool { return up.count("/slow/a") == 1 })
	time.AfterFunc(200*time.Millisecond, up.open)
	if code := s.stop(); code != exitOK {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, s.stderr)
	}
	s = serve(t, s.dir)
	eventually(t, "the run ends", func() bool {
		return s.must(http.MethodGet, "/api/v1/runs/"+id, nil).json["status"] == "succeeded"
	})
	if up.count("/slow/a") != 1 || up.count("/b") != 1 {
		t.Errorf("calls: %v, want each once", up.calls)
	}
}
