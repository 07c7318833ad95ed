package webhook_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// What an author says reaches the caller as it is, and takes nothing away that keeps it from
// acting on our origin.
func TestHookSaysWhatTheRunSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer runs.Answer
		want   http.Header
	}{
		{"text", runs.Answer{Status: 201, Header: http.Header{"Content-Type": {"text/plain"}, "X-A": {"1", "2"}}, Body: []byte("made")},
			http.Header{"Content-Type": {"text/plain"}, "X-A": {"1", "2"}, "Content-Length": {"4"}, "Cache-Control": {"no-store"}}},
		{"nothing", runs.Answer{Status: 204}, http.Header{"Cache-Control": {"no-store"}}},
		{"an error", runs.Answer{Status: 503, Header: http.Header{"Retry-After": {"7"}}},
			http.Header{"Retry-After": {"7"}, "Content-Length": {"0"}, "Cache-Control": {"no-store"}}},
		{"html", runs.Answer{
			Status: 200, Body: []byte("<script>alert(1)</script>"),
			Header: http.Header{"Content-Type": {"text/html"}, "Content-Security-Policy": {"default-src *"}, "X-Content-Type-Options": {"x"}, "X-Request-Id": {"x"}, "Cache-Control": {"max-age=60"}},
		}, http.Header{"Content-Type": {"text/html"}, "Content-Length": {"25"}, "Cache-Control": {"max-age=60"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			h.Starter.Says = &tt.answer
			res, body := call{path: "/hooks/wait"}.do(t, base)
			wantSafe(t, res)
			if res.StatusCode != tt.answer.Status || body != string(tt.answer.Body) || res.Header.Get("X-Request-Id") != "req-1" {
				t.Errorf("got %d %s %v", res.StatusCode, body, res.Header)
			}
			for _, name := range []string{"Date", "Content-Security-Policy", "X-Content-Type-Options", "X-Request-Id"} {
				res.Header.Del(name)
			}
			if diff := cmp.Diff(tt.want, res.Header); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// A repeat of a delivery whose run was deleted is still a repeat.
func TestHookOfADeletedRun(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	h.Starter.FailAnswer = fault.New(fault.NotFound, "run does not exist")
	res, body := call{path: "/hooks/wait"}.do(t, base)
	if res.StatusCode != 202 || len(body) != len(`{"run_id":""}`)+36 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}
