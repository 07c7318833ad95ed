package web

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/identity"
	"keyflow/web/session"
)

// sse is one event of a stream.
type sse struct {
	name, data string
	id         int64
}

// what is the event's short form: the node or "run", and the status.
func (e sse) what() string {
	text := func(key string) string {
		_, rest, _ := strings.Cut(e.data, key)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	if e.name == "run" {
		return "run " + text(`"status":"`)
	}
	return text(`"node":"`) + " " + text(`"status":"`)
}

// events opens a stream; each call of next is one event, ok false at its end.
func (c *caller) events(path, last string) (res *http.Response, next func() (sse, bool)) {
	c.s.t.Helper()
	r, err := http.NewRequestWithContext(c.s.t.Context(), http.MethodGet, c.s.url+path, nil)
	if err != nil {
		c.s.t.Fatal(err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	if res, err = c.client.Do(r); err != nil {
		c.s.t.Fatal(err)
	}
	c.s.t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	return res, func() (e sse, ok bool) {
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "event":
				e.name = value
			case "id":
				e.id, _ = strconv.ParseInt(value, 10, 64)
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					return e, true
				}
			}
		}
		return e, false
	}
}

// gatedRun starts a run whose first step is done and whose second waits until release.
func gatedRun(t *testing.T) (s *setup, id string, release func()) {
	t.Helper()
	gate := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-gate:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"at":"` + r.URL.Path + `"}`))
	}))
	t.Cleanup(upstream.Close)
	s = newSetup(t, func(d *Deps) { d.Runs = newEngine(t, d) })
	admin := s.admin()
	admin.run([]scenario{{name: "workflow", method: "PUT", path: "/api/v1/workflows/sync", status: 201, body: fmt.Sprintf(
		`{"id":"sync","folder":"/it","nodes":{"first":{"type":"web_request","with":{"url":"%[1]s/fast"}},
		"second":{"type":"web_request","needs":["first"],"with":{"url":"%[1]s/slow"}}},"output":"{{ nodes.second.output.body }}"}`, upstream.URL)}})
	id, _ = admin.do("POST", "/api/v1/workflows/sync/runs", `{"input":{}}`).json(t)["id"].(string)
	return s, id, sync.OnceFunc(func() { close(gate) })
}

func TestEventsOfARun(t *testing.T) {
	t.Parallel()
	s, id, release := gatedRun(t)
	path := "/api/v1/runs/" + id + "/events"
	res, next := s.admin().events(path, "")
	if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("status %d, type %q", res.StatusCode, got)
	}
	var seen []string
	var newest int64
	for e, ok := next(); ok; e, ok = next() {
		if e.id < newest {
			t.Errorf("%s: id %d falls behind %d", e.what(), e.id, newest)
		}
		newest = e.id
		if seen = append(seen, e.what()); e.what() == "second running" {
			release()
		}
	}
	// How much of the first step is seen depends on when the stream began.
	tail := seen[max(0, len(seen)-3):]
	if diff := cmp.Diff([]string{"second running", "second succeeded", "run succeeded"}, tail); diff != "" {
		t.Errorf("the end of the stream (-want +got):\n%s\nall: %q", diff, seen)
	}

	if res, _ := s.admin().events(path, strconv.FormatInt(newest, 10)); res.StatusCode != http.StatusNoContent {
		t.Errorf("coming back after the end: status %d, want 204", res.StatusCode)
	}
	_, next = s.admin().events(path, strconv.FormatInt(newest-1, 10))
	var again []string
	for e, ok := next(); ok; e, ok = next() {
		again = append(again, e.what())
	}
	if diff := cmp.Diff([]string{"first succeeded", "second succeeded", "run succeeded"}, again); diff != "" {
		t.Errorf("coming back before the end (-want +got):\n%s", diff)
	}
}

// Who loses the right to read a run loses a stream under way, too.
func TestEventsEndWithTheRight(t *testing.T) {
	t.Parallel()
	s, id, release := gatedRun(t)
	defer release()
	admin := identity.Caller{Name: "admin", Role: identity.Admin, Folder: "/"}
	token, value, err := s.session.CreateToken(t.Context(), admin, session.NewToken{Name: "short", Role: identity.Viewer, Folder: "/it"})
	if err != nil {
		t.Fatal(err)
	}
	res, next := s.with(value.Reveal()).events("/api/v1/runs/"+id+"/events", "")
	if res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	if err := s.session.RevokeToken(t.Context(), admin, token.ID); err != nil {
		t.Fatal(err)
	}
	for e, ok := next(); ok; e, ok = next() {
		if strings.HasPrefix(e.what(), "run s") {
			t.Errorf("the run ended before the stream: %s", e.what())
		}
	}
}

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	s, id, release := gatedRun(t)
	defer release()
	path := "/api/v1/runs/" + id + "/events"
	s.with(s.token(identity.Viewer, "/hr")).run([]scenario{
		{name: "another folder", method: "GET", path: path, status: 404},
	})
	s.anonymous().run([]scenario{{name: "not signed in", method: "GET", path: path, status: 401}})
	if got := s.admin().do("GET", path, "", "Last-Event-ID", "soon"); got.status != 422 {
		t.Errorf("a wrong Last-Event-ID: %d %s", got.status, got.body)
	}
}
