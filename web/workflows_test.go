package web

import (
	"strings"
	"testing"

	"keyflow/internal/identity"
)

const hello = `{"id":"hello","nodes":{"say":{"type":"transform","with":{"value":"hi"}}}}`

func TestWorkflowLifeCycle(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	admin := s.admin()
	created := admin.do("PUT", "/api/v1/workflows/hello", hello)
	if created.status != 201 || created.header.Get("ETag") != `"1"` {
		t.Fatalf("created: %d, ETag %q\n%s", created.status, created.header.Get("ETag"), created.body)
	}
	changed := strings.Replace(hello, "hi", "hello", 1)
	admin.run([]scenario{
		{name: "unchanged", method: "PUT", path: "/api/v1/workflows/hello", body: hello, status: 200, has: []string{`"id":"hello"`, `"version":1`, `"warnings":[]`}},
		{name: "changed", method: "PUT", path: "/api/v1/workflows/hello", body: changed, headers: []string{"If-Match", `"1"`}, status: 200, has: []string{`"version":2`}},
		{name: "stale", method: "PUT", path: "/api/v1/workflows/hello", body: hello, headers: []string{"If-Match", `"1"`}, status: 412},
		{name: "must be new", method: "PUT", path: "/api/v1/workflows/hello", body: hello, headers: []string{"If-None-Match", "*"}, status: 412},
		{name: "read", method: "GET", path: "/api/v1/workflows/hello", status: 200, has: []string{`"version":2`, `"enabled":true`, `"definition":{"id":"hello"`}},
		{name: "versions", method: "GET", path: "/api/v1/workflows/hello/versions", status: 200, has: []string{`"items":[{"version":2`, `{"version":1`}},
		{name: "version 1", method: "GET", path: "/api/v1/workflows/hello/versions/1", status: 200, has: []string{`"value":"hi"`}},
		{name: "version 3", method: "GET", path: "/api/v1/workflows/hello/versions/3", status: 404},
		{name: "version 0", method: "GET", path: "/api/v1/workflows/hello/versions/0", status: 422},
		{name: "disable what has changed", method: "POST", path: "/api/v1/workflows/hello/disable", headers: []string{"If-Match", `"1"`}, status: 412, has: []string{"is at version 2 now: read it again"}},
		{name: "disable", method: "POST", path: "/api/v1/workflows/hello/disable", status: 200, has: []string{`"enabled":false`}},
		{name: "enable", method: "POST", path: "/api/v1/workflows/hello/enable", status: 200, has: []string{`"enabled":true`}},
		{name: "list", method: "GET", path: "/api/v1/workflows?q=HELL", status: 200, has: []string{`"id":"hello"`, `"next_cursor":null`}},
		{name: "list of others", method: "GET", path: "/api/v1/workflows?q=bye", status: 200, has: []string{`{"items":[],"next_cursor":null}`}},
		{name: "stale delete", method: "DELETE", path: "/api/v1/workflows/hello", headers: []string{"If-Match", `"1"`}, status: 412},
		{name: "delete", method: "DELETE", path: "/api/v1/workflows/hello", headers: []string{"If-Match", `"2"`}, status: 204},
		{name: "gone", method: "GET", path: "/api/v1/workflows/hello", status: 404},
	})
}

func TestWrongWorkflows(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.admin().run([]scenario{
		{name: "many problems", method: "PUT", path: "/api/v1/workflows/w", body: `{"id":"w","nodez":{},"nodes":{"a":{"type":"fail","needs":["b"]}}}`, status: 422,
			has: []string{`"path":"/nodez"`, `"path":"/nodes/a/needs/0"`, `"line":1`}},
		{name: "not JSON", method: "PUT", path: "/api/v1/workflows/w", body: `{`, status: 400, has: []string{"the workflow is not valid JSON"}},
		{name: "empty", method: "PUT", path: "/api/v1/workflows/w", status: 400, has: []string{"the body is missing"}},
		{name: "other id", method: "PUT", path: "/api/v1/workflows/w", body: hello, status: 422, has: []string{`the id is \"hello\" here but \"w\" in the address`}},
		{name: "too large", method: "PUT", path: "/api/v1/workflows/w", body: `{"description":"` + strings.Repeat("x", 1<<20) + `"}`, status: 413, has: []string{"the workflow is too large"}},
		{name: "far too large", method: "PUT", path: "/api/v1/workflows/w", body: strings.Repeat(" ", 2<<20), status: 413, has: []string{"the body is too large"}},
		{name: "validate", method: "POST", path: "/api/v1/workflows/validate", body: `{"id":"w","nodes":{"a":{"type":"fail","needs":["b"]}}}`, status: 200, has: []string{`"valid":false`, `"path":"/nodes/a/needs/0"`, `"warnings":[]`}},
		{name: "validate, not JSON", method: "POST", path: "/api/v1/workflows/validate", body: `{`, status: 200, has: []string{`"valid":false`}},
		{name: "validate, right", method: "POST", path: "/api/v1/workflows/validate", body: hello, status: 200, has: []string{`{"valid":true,"errors":[],"warnings":[]}`}},
		{name: "nothing was stored", method: "GET", path: "/api/v1/workflows", status: 200, has: []string{`{"items":[],"next_cursor":null}`}},
		{name: "schema", method: "GET", path: "/api/v1/schema/workflow", status: 200, has: []string{`"$schema"`}},
		{name: "schema of credentials", method: "GET", path: "/api/v1/schema/credential", status: 200, has: []string{`"$schema"`, `"bearer_token"`}},
	})
}

func TestWorkflowRights(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	hr := strings.Replace(hello, `"nodes"`, `"folder":"/hr","nodes"`, 1)
	if got := s.admin().do("PUT", "/api/v1/workflows/hello", hr); got.status != 201 {
		t.Fatalf("put: %d %s", got.status, got.body)
	}
	for _, c := range []struct {
		name, token             string
		read, start, write, del int
	}{
		{"viewer", s.token(identity.Viewer, "/hr"), 200, 403, 403, 403},
		{"operator", s.token(identity.Operator, "/hr"), 200, 202, 403, 403},
		{"editor elsewhere", s.token(identity.Editor, "/hrx"), 404, 404, 403, 404},
		{"editor", s.token(identity.Editor, "/hr"), 200, 202, 200, 204},
	} {
		s.with(c.token).run([]scenario{
			{name: c.name + " reads", method: "GET", path: "/api/v1/workflows/hello", status: c.read},
			{name: c.name + " starts", method: "POST", path: "/api/v1/workflows/hello/runs", status: c.start},
			{name: c.name + " writes", method: "PUT", path: "/api/v1/workflows/hello", body: hr, status: c.write},
			{name: c.name + " writes elsewhere", method: "PUT", path: "/api/v1/workflows/other", body: strings.ReplaceAll(hello, "hello", "other"), status: 403},
			{name: c.name + " deletes", method: "DELETE", path: "/api/v1/workflows/hello", status: c.del},
		})
	}
}
