package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/identity"
)

// withHello stores the workflow hello.
func (s *setup) withHello() *setup {
	s.t.Helper()
	if got := s.admin().do("PUT", "/api/v1/workflows/hello", hello); got.status != 201 {
		s.t.Fatalf("put: %d %s", got.status, got.body)
	}
	return s
}

func TestRunLifeCycle(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withHello()
	admin := s.admin()
	started := admin.do("POST", "/api/v1/workflows/hello/runs", `{"input":{"n":9007199254740993}}`)
	id := s.runs.last()
	want := map[string]any{"id": id.String(), "status": "running"}
	if diff := cmp.Diff(want, started.json(t)); started.status != 202 || diff != "" || started.header.Get("Location") != "/api/v1/runs/"+id.String() {
		t.Errorf("started: %d, Location %q, -want +got\n%s", started.status, started.header.Get("Location"), diff)
	}
	at := time.Date(2026, 3, 1, 0, 0, 1, 0, time.UTC)
	admin.run([]scenario{{name: "running", method: "DELETE", path: "/api/v1/runs/" + id.String(), status: 409}})
	s.runs.finish(id, `{"sum":9007199254740993}`, runs.Step{
		Node: "say", Index: runs.NoIndex, Status: runs.StepSucceeded, Output: json.RawMessage(`"hi"`), StartedAt: &at,
		Attempts: []runs.Attempt{{Attempt: 1, StartedAt: at, Request: &runs.Request{Method: "GET", URL: "https://a.kr/", Status: 200, DurationMS: 5}}},
		Calls:    []credentials.Call{{Credential: "erp", Version: 2, Host: "a.kr", Method: "GET", URL: "https://a.kr/", Status: 200, Duration: 5 * time.Millisecond}},
	})
	got := admin.do("GET", "/api/v1/runs/"+id.String(), "")
	for _, has := range []string{
		`"input":{"n":9007199254740993}`, `"output":{"sum":9007199254740993}`, `"created_at":"2026-03-01T00:00:00Z"`,
		`"trigger":{"id":"manual","type":"manual","fired_at":"`, `"version":1,"folder":"/","status":"succeeded"`, `"error":null`,
		`"steps":[{"node":"say","index":null,"status":"succeeded","attempt":1,"started_at":"2026-03-01T00:00:01Z","finished_at":null,` +
			`"request":{"method":"GET","url":"https://a.kr/","status":200,"duration_ms":5},"output":"hi","error":null`,
		`"calls":[{"credential":"erp","version":2,"fingerprint":"","host":"a.kr","method":"GET","url":"https://a.kr/","status":200,"duration_ms":5}]`,
	} {
		if !strings.Contains(got.body, has) {
			t.Errorf("run lacks %s\n%s", has, got.body)
		}
	}
	admin.run([]scenario{
		{name: "list", method: "GET", path: "/api/v1/runs?workflow=hello&since=2026-01-01T00:00:00Z", status: 200, has: []string{id.String()}, hasNot: []string{`"input"`, `"steps"`}},
		{name: "cancel a finished one", method: "POST", path: "/api/v1/runs/" + id.String() + "/cancel", status: 409},
		{name: "delete", method: "DELETE", path: "/api/v1/runs/" + id.String(), status: 204},
	})
}

func TestStartingAndWaiting(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withHello()
	admin := s.admin()
	answered := make(chan got)
	go func() { answered <- admin.do("POST", "/api/v1/workflows/hello/runs?wait=30s", `{}`) }()
	var id runs.ID
	for id == (runs.ID{}) { // until the request has started its run
		s.runs.mu.Lock()
		if len(s.runs.order) > 0 {
			id = s.runs.order[0]
		}
		s.runs.mu.Unlock()
	}
	s.runs.finish(id, `"done"`)
	if got := <-answered; got.status != 200 || !strings.Contains(got.body, `"output":"done","steps":[]`) {
		t.Errorf("waited: %d %s", got.status, got.body)
	}
	admin.run([]scenario{
		{name: "wait expires", method: "POST", path: "/api/v1/workflows/hello/runs?wait=1ms", status: 202, has: []string{`"status":"running"`}},
		{name: "no body", method: "POST", path: "/api/v1/workflows/hello/runs", status: 202},
		{name: "wait too long", method: "POST", path: "/api/v1/workflows/hello/runs?wait=301s", status: 422, has: []string{`"path":"?wait"`, "a duration from 0s to 5m"}},
		{name: "wait is no duration", method: "POST", path: "/api/v1/workflows/hello/runs?wait=soon", status: 422},
		{name: "unknown property", method: "POST", path: "/api/v1/workflows/hello/runs", body: `{"inputs":{}}`, status: 422, has: []string{`"path":"/inputs"`, "known here: input"}},
		{name: "not JSON", method: "POST", path: "/api/v1/workflows/hello/runs", body: `{"input":`, status: 400},
		{name: "unknown workflow", method: "POST", path: "/api/v1/workflows/nope/runs", status: 404},
		{name: "depth", method: "POST", path: "/api/v1/workflows/hello/runs", headers: []string{"Keyflow-Depth", "3"}, status: 202},
		{name: "bad depth", method: "POST", path: "/api/v1/workflows/hello/runs", headers: []string{"Keyflow-Depth", "-1"}, status: 422, has: []string{"expected number >= 0"}},
	})
	if last := s.runs.starts[len(s.runs.starts)-1]; last.Depth != 3 {
		t.Errorf("depth of the start is %d, want 3", last.Depth)
	}
}

func TestIdempotentStart(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withHello()
	admin := s.admin()
	first := admin.do("POST", "/api/v1/workflows/hello/runs", `{"input":{"a":1,"b":2}}`, "Idempotency-Key", "k1")
	same := admin.do("POST", "/api/v1/workflows/hello/runs", `{"input": {"b":2, "a":1}}`, "Idempotency-Key", "k1")
	if first.status != 202 || same.status != 202 || first.json(t)["id"] != same.json(t)["id"] {
		t.Errorf("the same key and input: %s and %s", first.body, same.body)
	}
	if same.json(t)["status"] != "running" {
		t.Errorf("the answer of a repeated start has no status: %s", same.body)
	}
	key := s.runs.starts[0].Dedupe
	if key.Kind != "manual" || key.Trigger != "" || key.Key != "k1" || key.InputHash == "" || time.Until(key.ExpiresAt) < 23*time.Hour {
		t.Errorf("dedupe key %+v", key)
	}
	admin.do("POST", "/api/v1/workflows/hello/runs", `{"input":{"a":2}}`, "Idempotency-Key", "k1")
	if other := s.runs.starts[2].Dedupe; other.InputHash == key.InputHash {
		t.Error("another input has the same hash: the engine cannot refuse it")
	}
	admin.do("POST", "/api/v1/workflows/hello/runs", `{}`, "Idempotency-Key", "k2")
	admin.do("POST", "/api/v1/workflows/hello/runs", `{"input": {}}`, "Idempotency-Key", "k2")
	s.runs.finish(s.runs.last(), "null")
	admin.run([]scenario{
		{name: "delete the run", method: "DELETE", path: "/api/v1/runs/" + s.runs.last().String(), status: 204},
		{name: "its key again", method: "POST", path: "/api/v1/workflows/hello/runs", body: `{}`, headers: []string{"Idempotency-Key", "k2"}, status: 409, has: []string{"which was deleted since"}},
	})
	if none, empty := s.runs.starts[3].Dedupe, s.runs.starts[4].Dedupe; none.InputHash != empty.InputHash {
		t.Error("no input is {}, but has another hash")
	}
}

func TestRunsOfOtherFolders(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withHello()
	s.admin().do("POST", "/api/v1/workflows/hello/runs", "")
	id := s.runs.last()
	s.runs.move(id, "/hr")
	path := "/api/v1/runs/" + id.String()
	s.with(s.token(identity.Admin, "/hrx")).run([]scenario{
		{name: "read", method: "GET", path: path, status: 404, has: []string{"this run does not exist"}},
		{name: "cancel", method: "POST", path: path + "/cancel", status: 404},
		{name: "delete", method: "DELETE", path: path, status: 404},
		{name: "list all", method: "GET", path: "/api/v1/runs?folder=/", status: 403},
	})
	s.with(s.token(identity.Viewer, "/hr")).run([]scenario{
		{name: "viewer reads", method: "GET", path: path, status: 200},
		{name: "viewer cancels", method: "POST", path: path + "/cancel", status: 403},
	})
	s.with(s.token(identity.Operator, "/hr")).run([]scenario{
		{name: "operator cancels", method: "POST", path: path + "/cancel", status: 202},
		{name: "operator deletes", method: "DELETE", path: path, status: 403},
	})
	s.admin().run([]scenario{
		{name: "no run id", method: "GET", path: "/api/v1/runs/1", status: 404},
		{name: "quotes", method: "GET", path: "/api/v1/runs/1'%20OR%20'1'='1", status: 404},
		{name: "unknown", method: "GET", path: "/api/v1/runs/01970000-0000-7000-8000-000000000000", status: 404},
		{name: "bad cursor", method: "GET", path: "/api/v1/runs?cursor=x", status: 422, has: []string{`"path":"?cursor"`}},
		{name: "bad time", method: "GET", path: "/api/v1/runs?since=yesterday", status: 422, has: []string{`"path":"?since"`, "a time in RFC 3339 is expected"}},
		{name: "bad status", method: "GET", path: "/api/v1/runs?status=done", status: 422, has: []string{"queued, running"}},
	})
}

func TestTriggerPages(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.admin().run([]scenario{
		{name: "first", method: "GET", path: "/api/v1/triggers?limit=2", status: 200, has: []string{`"id":"a"`, `"id":"b"`, `"next_cursor":"sync/b"`}, hasNot: []string{`"id":"c"`}},
		{name: "second", method: "GET", path: "/api/v1/triggers?limit=2&cursor=sync/b", status: 200, has: []string{`"id":"c"`, `"next_cursor":null`}},
	})
	s.with(s.token(identity.Viewer, "/hr")).run([]scenario{
		{name: "other folder", method: "GET", path: "/api/v1/triggers?folder=/", status: 403},
	})
}
