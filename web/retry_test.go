package web

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"keyflow/internal/identity"
)

func TestRetryThroughTheRealEngine(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	var first atomic.Int32
	broken.Store(true)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/first":
			first.Add(1)
		case broken.Load():
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(upstream.Close)
	s := newSetup(t, func(d *Deps) { d.Runs = newEngine(t, d) })
	admin := s.admin()
	admin.run([]scenario{{name: "workflow", method: "PUT", path: "/api/v1/workflows/sync", status: 201, body: `{"id":"sync","folder":"/it","nodes":{
		"first":{"type":"web_request","with":{"url":"` + upstream.URL + `/first"}},
		"second":{"type":"web_request","needs":["first"],"with":{"url":"` + upstream.URL + `/second"}}}}`}})
	id, _ := admin.do("POST", "/api/v1/workflows/sync/runs?wait=60s", `{"input":{}}`).json(t)["id"].(string)
	broken.Store(false)
	path := "/api/v1/runs/" + id + "/retry"
	admin.run([]scenario{
		{name: "wrong values", method: "POST", path: path, body: `{"from":"middle","version":"old"}`, status: 422, has: []string{
			`{"path":"/from","code":"invalid_value","message":"must be failed or start"}`, `{"path":"/version","code":"invalid_value","message":"must be same or newest"}`}},
		{name: "newest from failed", method: "POST", path: path, body: `{"version":"newest"}`, status: 422, has: []string{"newest needs from: start"}},
		{name: "unknown property", method: "POST", path: path, body: `{"form":"start"}`, status: 422, has: []string{"/form", "from"}},
	})
	s.with(s.token(identity.Viewer, "/it")).run([]scenario{{name: "a viewer", method: "POST", path: path, status: 403}})
	s.with(s.token(identity.Operator, "/hr")).run([]scenario{{name: "another folder", method: "POST", path: path, status: 404}})

	got := admin.do("POST", path, "")
	again, _ := got.json(t)["id"].(string)
	if got.status != 202 || got.json(t)["retry_of"] != id || got.header.Get("Location") != "/api/v1/runs/"+again {
		t.Fatalf("retry: %d %s", got.status, got.body)
	}
	_, next := admin.events("/api/v1/runs/"+again+"/events", "")
	last := sse{}
	for e, ok := next(); ok; e, ok = next() {
		last = e
	}
	if last.what() != "run succeeded" || first.Load() != 1 {
		t.Errorf("the retry ended with %q; the first step was called %d times, want 1", last.what(), first.Load())
	}
	admin.run([]scenario{
		{name: "history", method: "GET", path: "/api/v1/runs/" + again, status: 200, has: []string{`"retry_of":"` + id + `"`}},
		{name: "a run that succeeded", method: "POST", path: "/api/v1/runs/" + again + "/retry", status: 409, has: []string{"retry it from the start"}},
	})
}
