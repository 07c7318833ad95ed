package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
	"keyflow/workflows"
	workflowstore "keyflow/workflows/sqlstore"
)

const hooks = `
  "plain": {"type": "webhook", "path": "plain", "methods": ["POST", "GET"]},
  "item": {"type": "webhook", "path": "orders/{id}/lines/{line}"},
  "exact": {"type": "webhook", "path": "orders/new/lines/1"},
  "key": {"type": "webhook", "path": "key", "credential": "header"},
  "query": {"type": "webhook", "path": "query", "credential": "query"},
  "away": {"type": "webhook", "path": "away", "credential": "away"},
  "broken": {"type": "webhook", "path": "broken", "credential": "broken"},
  "wait": {"type": "webhook", "path": "wait", "respond": "on_finish", "respond_timeout": "20ms"},
  "shaped": {"type": "webhook", "path": "shaped", "input": {"ids": "{{ [trigger.request.body.id] }}", "k": "{{ vars.k }}"}},
  "null": {"type": "webhook", "path": "null", "input": null},
  "once": {"type": "webhook", "path": "once", "dedupe": "{{ trigger.request.headers['x-delivery-id'] }}"}`

// call is one request to a server of hooks and its answer.
type call struct {
	method, path, body string
	header             http.Header
}

func (c call) do(t *testing.T, base string) (*http.Response, string) {
	t.Helper()
	if c.method == "" {
		c.method = "POST"
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func hookServer(t *testing.T) (*firingtest.Harness, string) {
	t.Helper()
	h := firingtest.Setup(t)
	h.Apply(t, "flow", hooks, `"vars": {"k": "v"}`)
	if err := h.Manager.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "req-1") // as package web does
		h.Manager.Hooks().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return h, server.URL
}

func jsonHeader(extra ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(extra); i += 2 {
		h.Set(extra[i], extra[i+1])
	}
	return h
}

func problemText(status int, title, detail string) string {
	text, _ := json.Marshal(map[string]any{"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": "req-1", "errors": []any{}})
	return string(text)
}

func TestHookRefuses(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	h.Apply(t, "off", `"t": {"type": "webhook", "path": "off"}`, `"enabled": false`)
	notFound := problemText(404, "Not Found", "there is no webhook at this address")
	tests := []struct {
		name   string
		call   call
		status int
		want   string
	}{
		{"unknown path", call{path: "/hooks/nope"}, 404, notFound},
		{"switched off", call{path: "/hooks/off"}, 404, notFound},
		{"no path", call{path: "/hooks/"}, 404, notFound},
		{"trailing slash", call{path: "/hooks/plain/"}, 404, notFound},
		{"double slash", call{path: "/hooks//plain"}, 404, notFound},
		{"dot", call{path: "/hooks/./plain"}, 404, notFound},
		{"other case", call{path: "/hooks/Plain"}, 404, notFound},
		{"percent-encoded", call{path: "/hooks/pl%61in"}, 404, notFound},
		{"path parameter", call{path: "/hooks/plain;x"}, 404, notFound},
		{"shorter", call{path: "/hooks/plai"}, 404, notFound},
		{"doubled", call{path: "/hooks/plain/plain"}, 404, notFound},
		{"empty parameter", call{path: "/hooks/orders//lines/1"}, 404, notFound},
		{"slash in a parameter", call{path: "/hooks/orders/a%2Fb/lines/1"}, 404, notFound},
		{"dots in a parameter", call{path: "/hooks/orders/%2e%2e/lines/1"}, 404, notFound},
		{"wrong method", call{method: "PUT", path: "/hooks/plain"}, 405, problemText(405, "Method Not Allowed", "this webhook takes POST, GET")},
		{"options", call{method: "OPTIONS", path: "/hooks/plain"}, 405, problemText(405, "Method Not Allowed", "this webhook takes POST, GET")},
		{"method override", call{method: "PUT", path: "/hooks/plain", header: http.Header{"X-Http-Method-Override": {"POST"}}}, 405, problemText(405, "Method Not Allowed", "this webhook takes POST, GET")},
		{"broken JSON", call{path: "/hooks/plain", header: jsonHeader(), body: `{"a":`}, 400, problemText(400, "Bad Request", "the body is not valid JSON")},
		{"JSON that is not UTF-8", call{path: "/hooks/plain", header: jsonHeader(), body: "{\"a\":\"\xff\"}"}, 400, problemText(400, "Bad Request", "the body is not valid utf-8 (byte 7)")},
		{"deep JSON", call{path: "/hooks/plain", header: jsonHeader(), body: strings.Repeat("[", 1_000_000)}, 400, problemText(400, "Bad Request", "the body is not valid JSON")},
		{"too large", call{path: "/hooks/plain", body: strings.Repeat("a", 5<<20+1)}, 413, problemText(413, "Request Entity Too Large", "the body is larger than 5 MiB")},
		{"compressed", call{path: "/hooks/plain", header: http.Header{"Content-Encoding": {"gzip"}}, body: "x"}, 415, problemText(415, "Unsupported Media Type", "send the body without Content-Encoding")},
		{"no credential", call{path: "/hooks/key"}, 401, problemText(401, "Unauthorized", "the request is not authenticated")},
		{"wrong credential", call{path: "/hooks/key", header: http.Header{"X-Key": {"wrong"}}}, 401, problemText(401, "Unauthorized", "the request is not authenticated")},
		{"a credential that cannot verify", call{path: "/hooks/broken", header: http.Header{"X-Key": {"right-key-123"}}}, 401, problemText(401, "Unauthorized", "the request is not authenticated")},
		{"vault away", call{path: "/hooks/away"}, 503, problemText(503, "Service Unavailable", "the call was not accepted: the vault is away")},
		{"template", call{path: "/hooks/shaped", header: jsonHeader(), body: `[1]`}, 422, problemText(422, "Unprocessable Entity", "the request does not fit what the webhook expects")},
		{"loop", call{path: "/hooks/plain", header: http.Header{"Keyflow-Depth": {"33"}}}, 508, problemText(508, "Loop Detected", "workflows start one another in a loop: 32 starts in a row")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, body := tt.call.do(t, base)
			var got, want any
			if err := errors.Join(json.Unmarshal([]byte(body), &got), json.Unmarshal([]byte(tt.want), &want)); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if diff := cmp.Diff(want, got); diff != "" || res.StatusCode != tt.status || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("status %d %s, -want +got\n%s", res.StatusCode, res.Header.Get("Content-Type"), diff)
			}
			wantSafe(t, res)
			if (res.StatusCode == 405) != (res.Header.Get("Allow") == "POST, GET") || (res.StatusCode == 503) != (res.Header.Get("Retry-After") != "") {
				t.Errorf("headers %v", res.Header)
			}
		})
	}
	t.Cleanup(func() {
		if starts := h.Starter.All(); len(starts) != 0 {
			t.Errorf("%d runs were started", len(starts))
		}
	})
}

// wantSafe checks that an answer cannot act on our origin.
func wantSafe(t *testing.T, res *http.Response) {
	t.Helper()
	if res.Header.Get("Content-Security-Policy") != "sandbox" || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header["Set-Cookie"] != nil {
		t.Errorf("headers %v", res.Header)
	}
}

func TestHookAccepts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		call  call
		input string
	}{
		{"JSON", call{path: "/hooks/plain", header: jsonHeader(), body: `{"id": 9007199254740993, "x": [1.5, null]}`}, `{"id":9007199254740993,"x":[1.5,null]}`},
		{"JSON of a vendor", call{path: "/hooks/plain", header: http.Header{"Content-Type": {"application/vnd.acme+json; charset=utf-8"}}, body: `[1]`}, `[1]`},
		{"nothing", call{path: "/hooks/plain"}, `null`},
		{"GET", call{method: "GET", path: "/hooks/plain?a=1"}, `null`},
		{"form", call{path: "/hooks/plain", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: `a=1&b=x+y&b=z`}, `{"a":"1","b":"x y, z"}`},
		{"text", call{path: "/hooks/plain", header: http.Header{"Content-Type": {"text/plain"}}, body: `{"a":1}`}, `"{\"a\":1}"`},
		{"without a type", call{path: "/hooks/plain", body: `{"a":1}`}, `{"a":1}`},
		{"without a type, no JSON", call{path: "/hooks/plain", body: `hello`}, `"hello"`},
		{"bytes", call{path: "/hooks/plain", header: http.Header{"Content-Type": {"application/octet-stream"}}, body: "\x00\xff"}, `null`},
		{"an imitated upload is data", call{path: "/hooks/plain", header: jsonHeader(), body: `{"files":{"x":{"filepath":"/etc/passwd"}},"workflowId":"other"}`}, `{"files":{"x":{"filepath":"/etc/passwd"}},"workflowId":"other"}`},
		{"templates in data stay data", call{path: "/hooks/plain", header: jsonHeader(), body: `"{{ 1+1 }}"`}, `"{{ 1+1 }}"`},
		{"input template", call{path: "/hooks/shaped", header: jsonHeader(), body: `{"id": 7}`}, `{"ids":[7],"k":"v"}`},
		{"input null", call{path: "/hooks/null", header: jsonHeader(), body: `{"id": 7}`}, `null`},
		{"parameters", call{path: "/hooks/orders/a%20b/lines/2", header: jsonHeader(), body: `1`}, `1`},
		{"credential", call{path: "/hooks/key", header: jsonHeader("X-Key", "right-key-123"), body: `1`}, `1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			res, body := tt.call.do(t, base)
			var answer struct {
				RunID runs.ID `json:"run_id"`
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil || res.StatusCode != 202 || answer.RunID == (runs.ID{}) {
				t.Fatalf("status %d: %s, %v", res.StatusCode, body, err)
			}
			wantSafe(t, res)
			starts := h.Starter.All()
			if len(starts) != 1 || string(starts[0].Input) != tt.input || starts[0].Workflow != "flow" || starts[0].Trigger.Type != "webhook" || starts[0].Dedupe != nil {
				t.Errorf("got starts %+v", starts)
			}
		})
	}
}

// What authenticates the caller does not reach the run: not as header or query key, not in
// a body that repeats it.
func TestHookHidesSecrets(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	call{
		path: "/hooks/query?token=right-key-123&x=1&x=2", body: `{"again": "right-key-123"}`,
		header: jsonHeader("Authorization", "Bearer abc", "Proxy-Authorization", "Basic abc", "Cookie", "a=b", "X-Key", "kept", "X-Two", "a"),
	}.do(t, base)
	call{path: "/hooks/key", header: jsonHeader("X-Key", "right-key-123"), body: `["right-key-123"]`}.do(t, base)
	call{path: "/hooks/orders/o1/lines/l2", body: "\x00raw\xff"}.do(t, base)
	starts := h.Starter.All()
	if len(starts) != 3 {
		t.Fatalf("%d starts", len(starts))
	}
	var requests [3]map[string]any
	for i, s := range starts {
		if strings.Contains(string(s.Trigger.Request)+string(s.Input), "right-key-123") {
			t.Errorf("the secret reached the run: %s %s", s.Trigger.Request, s.Input)
		}
		if err := json.Unmarshal(s.Trigger.Request, &requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	headers, _ := requests[0]["headers"].(map[string]any)
	for name, want := range map[string]string{"authorization": "***", "proxy-authorization": "***", "cookie": "***", "x-key": "kept", "x-two": "a", "content-type": "application/json"} {
		if headers[name] != want {
			t.Errorf("header %s is %v, want %s", name, headers[name], want)
		}
	}
	if diff := cmp.Diff(map[string]any{"token": "***", "x": "1, 2"}, requests[0]["query"]); diff != "" {
		t.Errorf("query: -want +got\n%s", diff)
	}
	if requests[0]["raw_body"] != `{"again": "***"}` || requests[1]["raw_body"] != `["***"]` {
		t.Errorf("raw bodies %v, %v", requests[0]["raw_body"], requests[1]["raw_body"])
	}
	members := slices.Sorted(maps.Keys(plan.TriggerShape()["request"]))
	if diff := cmp.Diff(members, slices.Sorted(maps.Keys(requests[2]))); diff != "" {
		t.Errorf("members that expressions may read: -want +got\n%s", diff)
	}
	want := map[string]any{"method": "POST", "path": "/hooks/orders/o1/lines/l2", "params": map[string]any{"id": "o1", "line": "l2"}, "query": map[string]any{}, "body": "\x00raw\uFFFD", "raw_body": "\x00raw\uFFFD", "warning": "the body is not valid utf-8 (byte 5)"}
	delete(requests[2], "headers")
	if diff := cmp.Diff(want, requests[2]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A password is hidden in a body too, although the header holds it in another form.
func TestHookHidesAPassword(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	h.Apply(t, "basic", `"t": {"type": "webhook", "path": "basic", "credential": "basic"}`)
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte("caller:right-password 123"))
	if res, body := (call{path: "/hooks/basic", header: jsonHeader("Authorization", authorization), body: `{"again": "right-password 123"}`}).do(t, base); res.StatusCode != 202 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	start := h.Starter.All()[0]
	if said := string(start.Trigger.Request) + string(start.Input); strings.Contains(said, "right-password") || !strings.Contains(said, `{"again":"***"}`) {
		t.Errorf("the run gets %s", said)
	}
}

// A caller that comes while the process starts must not take its webhook for gone.
func TestHookBeforeLoad(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	h.Apply(t, "flow", hooks, `"vars": {"k": "v"}`)
	restarted := triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: &firingtest.Verifier{}})
	server := httptest.NewServer(restarted.Hooks())
	t.Cleanup(server.Close)
	if res, _ := (call{path: "/hooks/plain"}).do(t, server.URL); res.StatusCode != 503 || res.Header.Get("Retry-After") != "2" {
		t.Errorf("before: %d %v", res.StatusCode, res.Header)
	}
	if err := restarted.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, body := (call{path: "/hooks/plain"}).do(t, server.URL); res.StatusCode != 202 {
		t.Errorf("after: %d %s", res.StatusCode, body)
	}
}

func TestHookPrefersExactPaths(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	call{path: "/hooks/orders/new/lines/1"}.do(t, base)
	call{path: "/hooks/orders/new/lines/2"}.do(t, base)
	if starts := h.Starter.All(); len(starts) != 2 || starts[0].Trigger.ID != "exact" || starts[1].Trigger.ID != "item" {
		t.Errorf("got %+v", starts)
	}
}

func TestHookOnFinish(t *testing.T) {
	t.Parallel()
	run := runs.ID{1}
	tests := []struct {
		name   string
		wait   func(context.Context, runs.ID) (runs.Run, error)
		status int
		want   string
	}{
		{"succeeded", func(context.Context, runs.ID) (runs.Run, error) {
			return runs.Run{Status: runs.Succeeded, Output: json.RawMessage(`{"a":[1]}`)}, nil
		}, 200, `{"a":[1]}`},
		{"without output", func(context.Context, runs.ID) (runs.Run, error) {
			return runs.Run{Status: runs.Succeeded}, nil
		}, 200, `null`},
		{"failed", func(context.Context, runs.ID) (runs.Run, error) {
			return runs.Run{Status: runs.Failed, Error: &runs.RunError{Message: "inside"}}, nil
		}, 502, `{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"the run ended as failed","request_id":"req-1","run_id":"RUN","errors":[]}`},
		{"canceled", func(context.Context, runs.ID) (runs.Run, error) {
			return runs.Run{Status: runs.Canceled}, nil
		}, 502, `{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"the run ended as canceled","request_id":"req-1","run_id":"RUN","errors":[]}`},
		{"too slow", func(ctx context.Context, _ runs.ID) (runs.Run, error) {
			<-ctx.Done()
			return runs.Run{}, ctx.Err()
		}, 202, `{"run_id":"RUN"}`},
		{"stopping", func(context.Context, runs.ID) (runs.Run, error) {
			return runs.Run{}, fault.New(fault.Unavailable, "stopping")
		}, 202, `{"run_id":"RUN"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			h.Starter.Wait = func(ctx context.Context, id runs.ID) (runs.Run, error) {
				run := id
				out, err := tt.wait(ctx, id)
				out.ID = run
				return out, err
			}
			res, body := call{path: "/hooks/wait"}.do(t, base)
			if at := strings.Index(body, `"run_id":"`); at >= 0 {
				body = strings.Replace(body, body[at+10:at+10+len(run.String())], "RUN", 1)
			}
			if res.StatusCode != tt.status || body != tt.want {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
			wantSafe(t, res)
		})
	}
}

func TestHookDedupe(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	first, firstBody := call{path: "/hooks/once", header: http.Header{"X-Delivery-Id": {"d1"}}}.do(t, base)
	again, againBody := call{path: "/hooks/once", header: http.Header{"X-Delivery-Id": {"d1"}}}.do(t, base)
	if first.Header.Get("Keyflow-Duplicate") != "" || again.Header.Get("Keyflow-Duplicate") != "true" || again.StatusCode != 202 || firstBody != againBody {
		t.Errorf("got %v %s, then %v %s", first.Header, firstBody, again.Header, againBody)
	}
	call{path: "/hooks/once"}.do(t, base) // no id: no dedupe
	call{path: "/hooks/once"}.do(t, base)
	starts := h.Starter.All()
	if len(starts) != 3 || starts[1].Dedupe != nil {
		t.Fatalf("got %d starts", len(starts))
	}
	d := starts[0].Dedupe
	if d.Kind != "webhook" || d.Trigger != "once" || d.Key != "d1" || d.ExpiresAt.Sub(starts[0].Trigger.FiredAt) != 24*time.Hour {
		t.Errorf("got %+v", d)
	}
}

func TestHookWhenTheEngineRefuses(t *testing.T) {
	t.Parallel()
	schema := fault.Problems("the input does not match the schema", []fault.Problem{{Path: "/id", Code: "invalid_value", Message: "must be integer, not string"}})
	tests := []struct {
		err    error
		status int
		want   string
	}{
		{fault.New(fault.Unavailable, "the queue is full"), 503, `"detail":"the call was not accepted: the queue is full","request_id":"req-1","errors":[]}`},
		{schema, 422, `"detail":"the input does not match the schema","request_id":"req-1","errors":[{"path":"/id","code":"invalid_value","message":"must be integer, not string"}]}`},
		{fault.New(fault.Conflict, "same key, other input"), 409, `"detail":"same key, other input","request_id":"req-1","errors":[]}`},
		{fault.New(fault.TooLarge, "the input is too large"), 413, `"detail":"the input is too large","request_id":"req-1","errors":[]}`},
		{fault.New(fault.NotFound, "no workflow"), 404, `"detail":"there is no webhook at this address","request_id":"req-1","errors":[]}`},
		{errors.New("secret detail"), 500, `"detail":"internal error","request_id":"req-1","errors":[]}`},
	}
	for _, tt := range tests {
		t.Run(tt.err.Error(), func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			h.Starter.Fail(tt.err)
			res, body := call{path: "/hooks/plain"}.do(t, base)
			if res.StatusCode != tt.status || !strings.HasSuffix(body, tt.want) || (tt.status == 503) != (res.Header.Get("Retry-After") == "2") {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
		})
	}
}

func TestHookLimitsRefusedCalls(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	for i := range 10 {
		if res, body := (call{path: "/hooks/key"}).do(t, base); res.StatusCode != 401 {
			t.Fatalf("call %d: %d %s", i, res.StatusCode, body)
		}
	}
	res, _ := call{path: "/hooks/key", header: http.Header{"X-Key": {"right-key-123"}}}.do(t, base)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the eleventh: %d %v", res.StatusCode, res.Header)
	}
	if res, _ := (call{path: "/hooks/plain"}).do(t, base); res.StatusCode != 202 {
		t.Errorf("another webhook: %d", res.StatusCode)
	}
	if n := len(h.Starter.All()); n != 1 {
		t.Errorf("%d runs", n)
	}
}

func TestHookFollowsChanges(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	status := func(path string) int {
		res, _ := call{path: path}.do(t, base)
		return res.StatusCode
	}
	if _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "flow", false); err != nil {
		t.Fatal(err)
	}
	if got := status("/hooks/plain"); got != 404 {
		t.Errorf("switched off: %d", got)
	}
	if _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "flow", true); err != nil {
		t.Fatal(err)
	}
	h.Apply(t, "flow", `"moved": {"type": "webhook", "path": "moved"}, "item": {"type": "webhook", "path": "o/{id}"}`)
	for path, want := range map[string]int{"/hooks/plain": 404, "/hooks/orders/1/lines/2": 404, "/hooks/moved": 202, "/hooks/o/1": 202} {
		if got := status(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if err := h.Catalog.Delete(t.Context(), identity.System(), "flow"); err != nil {
		t.Fatal(err)
	}
	if got := status("/hooks/moved"); got != 404 {
		t.Errorf("deleted: %d", got)
	}
}

func BenchmarkHookOnFinish(b *testing.B) {
	h := firingtest.Setup(b)
	source := []byte(`{"id": "flow", "nodes": {"n": {"type": "transform"}}, "triggers": {"t": {"type": "webhook", "path": "t", "credential": "header", "respond": "on_finish"}}}`)
	if _, err := h.Catalog.Apply(b.Context(), identity.System(), "flow", source, -1); err != nil {
		b.Fatal(err)
	}
	handler := h.Manager.Hooks()
	body := []byte(`{"id": 7, "mail": "a@example.com"}`)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/hooks/t", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Key", "right-key-123")
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != 200 {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// A process sees what another one changed: at once for webhooks it knows, with the next
// look at all workflows for new ones.
func TestHookFollowsOtherProcesses(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	h.Apply(t, "flow", `"a": {"type": "webhook", "path": "a"}`)
	catalog := workflows.NewCatalog(workflowstore.New(h.Database), workflows.CatalogOptions{Refresh: time.Nanosecond})
	other := triggers.New(triggers.Options{Store: h.Store, Catalog: catalog, Starter: h.Starter, Verifier: &firingtest.Verifier{}, Shared: true})
	load := func() {
		if err := other.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	load()
	server := httptest.NewServer(other.Hooks())
	t.Cleanup(server.Close)
	want := func(path string, status int) {
		t.Helper()
		if res, body := (call{path: path}).do(t, server.URL); res.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, body, status)
		}
	}
	want("/hooks/a", 202)
	if _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "flow", false); err != nil {
		t.Fatal(err)
	}
	want("/hooks/a", 404)
	h.Apply(t, "flow", `"b": {"type": "webhook", "path": "b"}`, `"enabled": true`)
	load()
	want("/hooks/a", 404)
	want("/hooks/b", 202)
	if err := h.Catalog.Delete(t.Context(), identity.System(), "flow"); err != nil {
		t.Fatal(err)
	}
	want("/hooks/b", 404)
}

// A signed request counts as received only once its run is stored: until then its sender may
// repeat it as it is.
func TestHookGivesBackWhatItCouldNotTake(t *testing.T) {
	t.Parallel()
	h, base := hookServer(t)
	authentic := http.Header{"X-Key": {"right-key-123"}}
	for i, step := range []struct {
		body       string
		header     http.Header
		start      error
		status     int
		unverified int32
	}{
		{"{}", authentic, nil, http.StatusAccepted, 0},
		{"{}", authentic, fault.New(fault.Unavailable, "the queue is full"), http.StatusServiceUnavailable, 1},
		{"{", authentic, nil, http.StatusBadRequest, 2},
		{"{}", nil, nil, http.StatusUnauthorized, 2},
		{"{}", authentic, nil, http.StatusAccepted, 2},
	} {
		h.Starter.Fail(step.start)
		header := http.Header{"Content-Type": {"application/json"}}
		for name, values := range step.header {
			header[name] = values
		}
		res, body := call{path: "/hooks/key", body: step.body, header: header}.do(t, base)
		if got := h.Verifier.Unverified.Load(); res.StatusCode != step.status || got != step.unverified {
			t.Errorf("step %d: %d %s, given back %d", i, res.StatusCode, body, got)
		}
	}
}

// A caller who is gone gets no answer and makes no noise; what was stored stays received.
func TestHookWhenTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		start      error
		path       string
		status     int
		runs       int
		unverified int32
	}{
		{"stored all the same", nil, "/hooks/key", 202, 1, 0},
		{"not stored", fault.New(fault.Unavailable, "the queue is full"), "/hooks/key", 499, 0, 1},
		{"the vault gave up", nil, "/hooks/away", 499, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := firingtest.Setup(t)
			var log bytes.Buffer
			m := triggers.New(triggers.Options{
				Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: h.Verifier, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			h.Apply(t, "flow", hooks, `"vars": {"k": "v"}`)
			if err := m.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.Starter.Fail(tt.start)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if h.Starter.During = cancel; tt.path == "/hooks/away" {
				cancel()
			}
			r := httptest.NewRequestWithContext(ctx, "POST", tt.path, nil)
			r.Header.Set("X-Key", "right-key-123")
			w := httptest.NewRecorder()
			m.Hooks().ServeHTTP(w, r)
			if w.Code != tt.status || len(h.Starter.All()) != tt.runs || h.Verifier.Unverified.Load() != tt.unverified || log.Len() > 0 {
				t.Errorf("%d %s, %d runs, %d given back, log %s", w.Code, w.Body, len(h.Starter.All()), h.Verifier.Unverified.Load(), log.String())
			}
		})
	}
}
