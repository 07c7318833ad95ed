package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/web/page"
	"keyflow/web/rest"
	"keyflow/web/ui"
)

func TestPageFiles(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	c := s.anonymous()
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/credentials", "/credentials/erp", "/setup", "/workflows/sync/runs"} {
		got := c.do("GET", path, "")
		policy := got.header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`'nonce-([A-Z2-7]{26})'`).FindStringSubmatch(policy)
		if got.status != 200 || nonce == nil || !strings.Contains(got.body, `content="`+nonce[1]+`"`) {
			t.Fatalf("%s: %d, policy %q\n%s", path, got.status, policy, got.body)
		}
		if nonces[nonce[1]] {
			t.Errorf("%s: the nonce was used before", path)
		}
		nonces[nonce[1]] = true
		if got.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: headers %v", path, got.header)
		}
	}

	file := c.do("GET", "/app.js", "", "Accept-Encoding", "identity")
	etag := file.header.Get("ETag")
	if file.status != 200 || file.header.Get("Content-Type") != "text/javascript; charset=utf-8" || etag == "" || file.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("app.js: %d, %v", file.status, file.header)
	}
	if again := c.do("GET", "/app.js", "", "Accept-Encoding", "identity", "If-None-Match", etag); again.status != 304 || again.body != "" {
		t.Errorf("app.js again: %d with %d bytes, want 304 without", again.status, len(again.body))
	}
	zipped := c.do("GET", "/app.js", "", "Accept-Encoding", "gzip")
	if zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("ETag") == etag || zipped.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("app.js with gzip: %v", zipped.header)
	}
	zr, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(zr); err != nil || string(plain) != file.body {
		t.Errorf("app.js with gzip differs from the plain one: %v", err)
	}
	if got := c.do("GET", "/index.html", ""); got.status != 404 {
		t.Errorf("the template itself is served: %d", got.status)
	}
}

// A probe of a path that is none must fail; the page answers its own routes alone.
func TestOnlyTheRoutesOfThePageAreThePage(t *testing.T) {
	t.Parallel()
	router, err := os.ReadFile("ui/src/router.tsx")
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, route := range regexp.MustCompile(`path: '/([^/']*)`).FindAllStringSubmatch(string(router), -1) {
		if !slices.Contains(routes, route[1]) {
			routes = append(routes, route[1])
		}
	}
	slices.Sort(routes)
	if want := slices.Sorted(slices.Values(page.Sections())); !slices.Equal(routes, want) {
		t.Errorf("the routes of the page are %q, and served are %q", routes, want)
	}
	s := newSetup(t)
	for _, section := range page.Sections() {
		if got := s.anonymous().do("GET", "/"+section, ""); got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			t.Errorf("/%s: %d, %s", section, got.status, got.header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/health", "/livez", "/live", "/ready", "/status", "/version", "/ping", "/healthz/x", "/credential", "/Runs", "/.env", "/admin"} {
		for _, method := range []string{"GET", "HEAD"} {
			if got := s.anonymous().do(method, path, ""); got.status != 404 || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %d, %s", method, path, got.status, got.header.Get("Content-Type"))
			}
		}
	}
}

func TestSubPath(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(d *Deps) { d.PublicURL = &url.URL{Scheme: "https", Host: "acme.kr", Path: "/flow/"} }).withAdmin()
	c := s.anonymous()
	for _, path := range []string{"/flow/credentials", "/credentials"} { // a proxy may strip the path or not
		got := c.do("GET", path, "")
		want, err := ui.Index("", "/flow")
		if err != nil {
			t.Fatal(err)
		}
		if strip := regexp.MustCompile(`content="[A-Z2-7]{26}"`); got.status != 200 || strip.ReplaceAllString(got.body, `content=""`) != string(want) {
			t.Errorf("%s: %d\n%s", path, got.status, got.body)
		}
	}
	for path, status := range map[string]int{
		"/flow/app.js": 200, "/flow/healthz": 200, "/flow": 200, "/flow/api/v1/credentials": 401, "/flowers": 404,
		"/flow/hooks/x": 200, "/flow//api/v1/credentials": 404,
	} {
		if got := c.do("GET", path, ""); got.status != status {
			t.Errorf("%s: %d, want %d", path, got.status, status)
		}
	}
	if got := c.do("GET", "/flow/hooks/a%2Fb", ""); got.body != "hook /hooks/a/b raw /hooks/a%2Fb " {
		t.Errorf("a hook under a sub-path sees %q", got.body)
	}
	if got := c.do("GET", "/flow"+credentials.CallbackPath, ""); !strings.Contains(got.body, `src="/flow/oauth-callback.js"`) {
		t.Errorf("callback page under a sub-path:\n%s", got.body)
	}
}

// What no database could hold is refused before one is asked.
func TestOnlyText(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	s.admin().run([]scenario{
		{name: "NUL in the path", method: "GET", path: "/api/v1/credentials/a%00b", status: 404, has: []string{"nothing is at this path"}},
		{name: "not UTF-8 in the path", method: "GET", path: "/api/v1/workflows/%ff/versions", status: 404},
		{name: "NUL in the query", method: "GET", path: "/api/v1/runs?workflow=%00", status: 400, has: []string{"a query parameter is not text in UTF-8"}},
		{name: "not UTF-8 in the query", method: "GET", path: "/api/v1/credentials?q=%ff", status: 400},
		{name: "in its name", method: "GET", path: "/api/v1/credentials?%ff=q", status: 400},
	})
	s.anonymous().run([]scenario{
		{name: "sign in as nobody", method: "POST", path: "/api/v1/session", body: `{"username":"adm\u0000in","password":"x"}`, status: 401, has: []string{"the username or the password is wrong"}},
	})
}

// Of a parameter that is given twice one value would count silently, whichever it is.
func TestRepeatedQueryParametersAreRefused(t *testing.T) {
	t.Parallel()
	data, err := OpenAPI("")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t)
	admin := s.admin()
	tried := 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			for _, p := range op.Parameters {
				if p.In != "query" {
					continue
				}
				tried++
				target := strings.NewReplacer("{", "", "}", "").Replace(path)
				admin.run([]scenario{{
					name: "repeated", method: strings.ToUpper(method), path: target + "?" + p.Name + "=1&" + p.Name + "=2", status: 422,
					has: []string{`"path":"?` + p.Name + `","code":"repeated_parameter"`},
				}})
			}
		}
	}
	if tried < 30 {
		t.Errorf("only %d parameters were tried", tried)
	}
	admin.run([]scenario{
		{name: "status", method: "GET", path: "/api/v1/runs?status=failed&status=queued", status: 422, has: []string{"status: is given more than once: give it once"}},
		{name: "no name", method: "GET", path: "/api/v1/runs?canary-value=1&canary-value=2", status: 422, hasNot: []string{"canary-value"}},
	})
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	data, err := OpenAPI("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI    string
		Info       struct{ Version string }
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" {
		t.Errorf("OpenAPI %s of version %s", doc.OpenAPI, doc.Info.Version)
	}
	s := newSetup(t)
	for _, pattern := range routesOf(t, s.handler) {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasPrefix(path, rest.V1+"/") || path == rest.V1+"/schema/workflow" || path == rest.V1+"/schema/credential" {
			continue
		}
		op := doc.Paths[path][strings.ToLower(method)]
		if op == nil {
			t.Errorf("%s is not in the document", pattern)
			continue
		}
		_, open := op["security"]
		if listed := slices.Contains(openRoutes(), pattern); open != listed {
			t.Errorf("%s: documented as open: %v, is open: %v", pattern, open, listed)
		}
		var parameters []string
		list, _ := op["parameters"].([]any)
		for _, p := range list {
			parameters = append(parameters, p.(map[string]any)["name"].(string))
		}
		for _, name := range regexp.MustCompile(`\{([a-z]+)\}`).FindAllStringSubmatch(path, -1) {
			if !slices.Contains(parameters, name[1]) {
				t.Errorf("%s: parameter %s is not documented: %v", pattern, name[1], parameters)
			}
		}
		if strings.Contains(string(data), "ErrorModel") || doc.Components.Schemas["Problem"] == nil {
			t.Error("errors are not documented as our problems")
		}
	}
	for _, pattern := range []string{"/credentials", "/workflows", "/runs", "/triggers", "/tokens"} {
		op, _ := json.Marshal(doc.Paths[rest.V1+pattern]["get"]["parameters"])
		if !strings.Contains(string(op), `"name":"limit"`) || !strings.Contains(string(op), `"maximum":200`) {
			t.Errorf("GET %s has no limit: %s", pattern, op)
		}
	}
	for _, name := range []string{"PageRunSummary", "RunView", "StepView", "Credential", "AppliedView"} {
		schema, _ := json.Marshal(doc.Components.Schemas[name])
		if len(schema) < 100 {
			t.Errorf("schema %s is empty: %s", name, schema)
		}
	}
	s.anonymous().run([]scenario{
		{name: "document", method: "GET", path: "/openapi.json", status: 200, has: []string{
			`"openapi":"3.1.0"`, `"200":{"content":{"text/event-stream":{"schema":{"type":"string"}}}`, `"description":"The run has ended and nothing more will come."`,
			`"description":"With wait: the run ended in time."`, `"application/json":{"schema":{"oneOf":[{"$ref":"#/components/schemas/CloudEvent"},{"items":{"$ref":"#/components/schemas/CloudEvent"},"type":"array"}]}}`,
		}},
		{name: "docs", method: "GET", path: "/docs", status: 200, has: []string{"<code>/api/v1/credentials/{id}</code>", "Read a credential, without its secrets"}, hasNot: []string{"<script"}},
	})
}

func TestHealthReadinessMetrics(t *testing.T) {
	t.Parallel()
	var down error
	s := newSetup(t, func(d *Deps) { d.Ready = func(context.Context) error { return down } })
	s.anonymous().run([]scenario{
		{name: "alive", method: "GET", path: "/healthz", status: 200, has: []string{`{"status":"ok"}`}},
		{name: "ready", method: "GET", path: "/readyz", status: 200, has: []string{`{"status":"ready"}`}},
		{name: "no metrics for strangers", method: "GET", path: "/metrics", status: 401},
	})
	down = fault.New(fault.Unavailable, "the queue is full").Because(errors.New("canary-cause"))
	got := s.anonymous().do("GET", "/readyz", "")
	if got.status != 503 || !strings.Contains(got.body, "the queue is full") || strings.Contains(got.body, "canary-cause") || got.header.Get("Retry-After") == "" {
		t.Errorf("not ready: %d %s", got.status, got.body)
	}
	s.logged("/api/v1/credentials/some-id", "Authorization", "Bearer "+adminToken)
	metrics := s.admin().do("GET", "/metrics", "")
	if metrics.status != 200 || !strings.Contains(metrics.body, `keyflow_http_request_duration_seconds_count{method="GET",route="GET /api/v1/credentials/{id}",status="404"} 1`) {
		t.Errorf("metrics: %d\n%s", metrics.status, metrics.body)
	}
	if strings.Contains(metrics.body, "some-id") {
		t.Error("a path is a label of a metric")
	}
}

// failingRuns shows what becomes of errors that nobody classified.
type failingRuns struct {
	*fakeRuns
	fail func() error
}

func (f failingRuns) Runs(context.Context, runs.Filter) ([]runs.Run, error) {
	return nil, f.fail()
}

func TestInternalErrorsShowNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("SELECT canary FROM runs: syntax error") },
		"panic": func() error { panic("canary") },
		"fault": func() error { return fault.New(fault.Internal, "canary").Because(io.ErrUnexpectedEOF) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, func(d *Deps) { d.Runs = failingRuns{newFakeRuns(), fail} })
			got := s.admin().do("GET", "/api/v1/runs", "")
			checkProblem(t, name, got)
			if got.status != 500 || strings.Contains(got.body, "canary") || !strings.Contains(got.body, `"detail":"internal error"`) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			id := got.header.Get("X-Request-Id")
			if log := s.logs.String(); !strings.Contains(log, "canary") || !strings.Contains(log, id) {
				t.Errorf("the log lacks the cause or the request id %s:\n%s", id, log)
			}
		})
	}
}

// One request is one line, whatever is in its path, and no query is ever logged.
func TestLogLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.logged("/x%0a%7b%22level%22:%22ERROR%22,%22msg%22:%22forged%22%7d%1b[31m?token=canary-query", "X-Request-Id", "canary-id", "X-Forwarded-For", "canary-source")
	lines := strings.Split(strings.TrimSpace(s.logs.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("one request made %d lines: %q", len(lines), lines)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || line["msg"] != "request" {
		t.Errorf("line %q: %v", lines[0], err)
	}
	for _, never := range []string{"canary-", "\x1b"} {
		if strings.Contains(lines[0], never) {
			t.Errorf("the line holds %q: %s", never, lines[0])
		}
	}
}

// The deadline of a body must neither end the handler that waits after it nor the next
// request on the connection.
func TestConnectionIsUsedAgainAfterAWait(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withHello()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"input":{}}`
	request := "POST /api/v1/workflows/hello/runs?wait=100ms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + adminToken +
		"\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n" + body
	for range 2 { // the connection is used again after the deadline was taken back
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusAccepted {
			t.Errorf("status %d", res.StatusCode)
		}
		_ = res.Body.Close()
	}
}

// What arrived of a body that breaks off is not taken for the whole.
func TestBrokenBodies(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withHello()
	for name, chunks := range map[string]string{
		"no chunk":            "zz\r\n",
		"after a whole value": "2\r\n{}\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "POST /api/v1/workflows/hello/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+adminToken+
				"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if want := "the body is incomplete or wrongly encoded"; res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) {
				t.Errorf("answer %d %s, want 400 %s", res.StatusCode, body, want)
			}
		})
	}
}

func TestMissingPartsAreAnError(t *testing.T) {
	t.Parallel()
	if _, err := NewHandler(Deps{}); err == nil || err.Error() != "web: a required part is missing" {
		t.Errorf("NewHandler without parts: %v", err)
	}
}
