package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The rows of the attack list that concern inbound webhooks, against a real process
// (research, section 1.2); the numbers are theirs.

// runs returns how many runs a workflow has.
func (s *instance) runs(workflow string) int {
	s.t.Helper()
	items, _ := s.must(http.MethodGet, "/api/v1/runs?limit=200&workflow="+workflow, nil).json["items"].([]any)
	return len(items)
}

const echoWorkflow = `{"id": "echo", "triggers": {"h": {"type": "webhook", "path": "echo", "respond": "on_finish"}},
	"nodes": {"x": {"type": "transform", "with": {"value": {"body": "{{ trigger.request.body }}", "input": "{{ input }}", "query": "{{ trigger.request.query }}",
		"run": "{{ run.id }}", "workflow": "{{ run.workflow }}", "trigger": "{{ trigger.id }}"}}}}, "output": "{{ nodes.x.output }}"}`

// Row 12: a body that imitates the inside of an upload is plain data, in any content type.
// Row 16: nothing in it names a workflow, run or trigger.
func TestHookBodiesAreData(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("echo", echoWorkflow)
	hostile := `{"files":{"x":{"filepath":"/etc/passwd","path":"/etc/passwd"}},"workflowId":"other","runId":"1","projectId":"p","credentialId":"c","tenant":"t","mode":"test","trigger":{"id":"x"},"__meta":{},"env":"x","__proto__":{"a":1}}`
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	_ = parts.WriteField("filepath", "/etc/passwd")
	_ = parts.Close()
	for name, tt := range map[string]struct{ contentType, body string }{
		"json":                {"application/json", hostile},
		"json in upper case":  {"APPLICATION/JSON; CHARSET=UTF-8", hostile},
		"json of a vendor":    {"application/vnd.x+json", hostile},
		"form":                {"application/x-www-form-urlencoded", "files[x][filepath]=/etc/passwd&runId=1&env=x&a=1&a=2"},
		"multipart":           {parts.FormDataContentType(), form.String()},
		"without a boundary":  {"multipart/form-data", form.String()},
		"with two boundaries": {"multipart/form-data; boundary=a; boundary=b", form.String()},
		"text":                {"text/plain", hostile},
		"none":                {"", hostile},
		"unknown":             {"nonsense", hostile},
		"two of them":         {"application/json, text/plain", hostile},
		"odd charset":         {"application/json; charset=utf-7", hostile},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(http.MethodPost, "/hooks/echo?runId=1&workflowId=other&trigger=x&env=x", tt.body, "Authorization", "", "Content-Type", tt.contentType,
				"X-Run-Id", "1", "X-Workflow-Id", "other")
			if a.status != http.StatusOK || a.json["workflow"] != "echo" || a.json["trigger"] != "h" || len(text(a.json["run"])) != 36 || strings.Contains(a.body, "root:") {
				t.Errorf("%d %s", a.status, a.body)
			}
			if body, ok := a.json["body"].(map[string]any); ok && strings.Contains(tt.contentType, "json") && body["workflowId"] != "other" {
				t.Errorf("not passed on as it is: %s", a.body)
			}
		})
	}
}

// Row 13: no other spelling of a path finds a webhook, and all answers look like that of an
// unknown path.
func TestHookPathsAreExact(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("secret", `{"id": "secret", "triggers": {"h": {"type": "webhook", "path": "in/s3cret-Part/{id}"}, "g": {"type": "webhook", "path": "plain"}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	if a := s.stranger("/hooks/in/s3cret-Part/7", "{}"); a.status != http.StatusAccepted {
		t.Fatalf("right: %d %s", a.status, a.body)
	}
	_, unknown := s.raw("POST /hooks/unknown HTTP/1.1\r\nContent-Length: 0")
	for _, target := range []string{
		"/hooks/in//7", "/hooks/in/7", "/hooks/in/s3cret-Part", "/hooks/in/s3cret-Part/", "/hooks/in/s3cret-Par/7", "/hooks/in/s3cret-PartX/7", "/hooks/in/s3cret-part/7",
		"/hooks/in/S3CRET-PART/7", "/hooks/in/s3cret%2DPart/7", "/hooks/in/s3cret-Part//7", "/hooks/in/s3cret-Part/./7", "/hooks/in/s3cret-Part/7/", "/hooks/in/s3cret-Part/7;x",
		"/hooks/in/s3cret-Part;x/7", "/hooks/in/s3cret-Part/%2e%2e", "/hooks/in/s3cret-Part%2F7", "/hooks/in/s3cret-Part/s3cret-Part/7", "/hooks/%69n/s3cret-Part/7",
		"/hooks/in/{x}/7", "/hooks/in/*/7", "/hooks/", "/hooks", "//hooks/plain", "/hooks//plain", "/HOOKS/plain", "/hooks/plain%00", "/hooks/plain%20", "/hooks/plain%0a",
	} {
		status, rest := s.raw("POST " + target + " HTTP/1.1\r\nContent-Length: 0")
		if target == "/hooks/in/s3cret-Part/7;x" { // a parameter may hold anything but a slash
			if status != http.StatusAccepted {
				t.Errorf("%s: %d", target, status)
			}
			continue
		}
		if status != http.StatusNotFound || len(rest) > len(unknown)+200 || strings.Contains(rest, "s3cret") {
			t.Errorf("%s: %d %s", target, status, rest)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND"} {
		if status, rest := s.raw(method + " /hooks/plain HTTP/1.1\r\nX-HTTP-Method-Override: POST\r\nX-Method-Override: POST\r\nContent-Length: 0"); status != http.StatusMethodNotAllowed || !strings.Contains(rest, "Allow: POST\r\n") {
			t.Errorf("%s: %d %s", method, status, rest)
		}
	}
	if n := s.runs("secret"); n != 2 {
		t.Errorf("%d runs, want 2", n)
	}
}

// Row 14: whoever is not authenticated gets the same 401 and no run, whatever the type of
// credential and however near the guess.
func TestHookVerifiesEveryType(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"a": 1}`
	signed := func(id string, at time.Time, body string) []string {
		signature, err := library.Sign(id, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return []string{"webhook-id", id, "webhook-timestamp", fmt.Sprint(at.Unix()), "webhook-signature", signature}
	}
	token := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		out, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + out
	}
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	now := time.Now()
	hour := jwt.MapClaims{"exp": now.Add(time.Hour).Unix()}
	const key = "canary-jwt-key-0123456789abcdef0123456789"
	types := []struct {
		id     string
		typ    string
		fields map[string]any
		right  []string
		wrong  map[string][]string
	}{
		{"basic", "basic_auth", map[string]any{"username": "u", "password": "canary-Pw-1"}, []string{"Authorization", basic("u", "canary-Pw-1")}, map[string][]string{
			"other password": {"Authorization", basic("u", "canary-Pw-2")}, "no password": {"Authorization", basic("u", "")}, "first byte": {"Authorization", basic("u", "c")},
			"in the wrong case": {"Authorization", basic("U", "CANARY-PW-1")}, "empty": {"Authorization", "Basic "}, "another scheme": {"Authorization", "Bearer canary-Pw-1"},
		}},
		{"key", "api_key", map[string]any{"key": "X-Key", "value": "canary-Key-1"}, []string{"X-Key", "canary-Key-1"}, map[string][]string{
			"other": {"X-Key", "canary-Key-2"}, "prefix": {"X-Key", "canary-Key"}, "longer": {"X-Key", "canary-Key-1x"}, "other header": {"X-Key2", "canary-Key-1"},
		}},
		{"bearer", "bearer_token", map[string]any{"token": "canary-Token-1"}, []string{"Authorization", "Bearer canary-Token-1"}, map[string][]string{
			"other": {"Authorization", "Bearer canary-Token-2"}, "bare": {"Authorization", "canary-Token-1"}, "basic": {"Authorization", basic("", "canary-Token-1")},
		}},
		{"jwt", "jwt", map[string]any{"algorithm": "HS256", "key": key}, []string{"Authorization", token(jwt.SigningMethodHS256, []byte(key), hour)}, map[string][]string{
			"other key":       {"Authorization", token(jwt.SigningMethodHS256, []byte(strings.ToUpper(key)), hour)},
			"other algorithm": {"Authorization", token(jwt.SigningMethodHS512, []byte(key), hour)},
			"none":            {"Authorization", token(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, hour)},
			"over":            {"Authorization", token(jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"exp": now.Add(-time.Hour).Unix()})},
			"not yet":         {"Authorization", token(jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"exp": now.Add(2 * time.Hour).Unix(), "nbf": now.Add(time.Hour).Unix()})},
		}},
		{"signing", "signing", map[string]any{"secret": secret}, signed("m1", now, body), map[string][]string{
			"other body": signed("m2", now, `{"a":1}`), "too old": signed("m3", now.Add(-time.Hour), body), "too new": signed("m4", now.Add(time.Hour), body),
			"no id": signed("m5", now, body)[2:], "no signature": signed("m6", now, body)[:4], "first byte": append(signed("m7", now, body)[:5], "v1,A"),
			"wrong version": append(signed("m8", now, body)[:5], strings.Replace(signed("m8", now, body)[5], "v1,", "v9,", 1)),
			"replayed":      signed("m1", now, body),
		}},
	}
	tested := map[string]bool{}
	for _, tt := range types {
		tested[tt.typ] = true
		s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": tt.id, "type": tt.typ, "fields": tt.fields, "allowed_hosts": []string{"x.example.com"}})
		s.apply(tt.id, fmt.Sprintf(`{"id": %q, "triggers": {"h": {"type": "webhook", "path": %q, "credential": %q}}, "nodes": {"x": {"type": "transform", "with": {"value": "{{ trigger.request }}"}}}}`, tt.id, tt.id, tt.id))
		if a := s.do(http.MethodPost, "/hooks/"+tt.id, body, append([]string{"Authorization", ""}, tt.right...)...); a.status != http.StatusAccepted {
			t.Errorf("%s: %d %s", tt.id, a.status, a.body)
		}
		tt.wrong["nothing"] = nil
		for name, header := range tt.wrong {
			a := s.do(http.MethodPost, "/hooks/"+tt.id, body, append([]string{"Authorization", ""}, header...)...)
			if a.status != http.StatusUnauthorized || text(a.json["detail"]) != "the request is not authenticated" {
				t.Errorf("%s, %s: %d %s", tt.id, name, a.status, a.body)
			}
		}
		if n := s.runs(tt.id); n != 1 {
			t.Errorf("%s: %d runs, want 1", tt.id, n)
		}
	}
	requireTypes(t, tested, verifiesWebhooks, "add a row with a request that it lets in and some that it refuses")
	stored := s.must(http.MethodGet, "/api/v1/runs?limit=200", nil).body + s.stderr.String()
	if strings.Contains(stored, "canary-") || strings.Contains(stored, key) {
		t.Error("a secret reached lists or logs")
	}
	// What was never given a secret verifies nobody.
	if a := s.do(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "empty", "type": "signing", "fields": map[string]any{"secret": ""}}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a signing credential without a secret: %d %s", a.status, a.body)
	}
}

// Row 15: nobody gets a fresh count of failed calls by naming another address.
func TestHookCountsFailuresByPeer(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "key", "type": "api_key", "fields": map[string]any{"key": "X-Key", "value": "canary-Key-1"}, "allowed_hosts": []string{"x.example.com"}})
	s.apply("key", `{"id": "key", "triggers": {"h": {"type": "webhook", "path": "key", "credential": "key"}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	names := []string{"X-Forwarded-For", "X-Real-IP", "True-Client-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP"}
	statuses := map[int]int{}
	for i := range 30 {
		a := s.do(http.MethodPost, "/hooks/key", "{}", "Authorization", "", "X-Key", fmt.Sprint("guess-", i), names[i%len(names)], fmt.Sprintf("for=10.1.2.%d", i))
		statuses[a.status]++
		if a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") == "" {
			t.Errorf("429 without Retry-After: %v", a.header)
		}
	}
	if statuses[http.StatusUnauthorized] != 10 || statuses[http.StatusTooManyRequests] != 20 {
		t.Errorf("answers %v, want 10 times 401 and 20 times 429", statuses)
	}
}

// Row 18: webhooks of a switched-off or deleted workflow do not exist.
func TestHookOfASleepingWorkflow(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("echo", strings.Replace(echoWorkflow, `"id"`, `"enabled": false, "id"`, 1))
	check := func(when string, want int) {
		t.Helper()
		if a := s.stranger("/hooks/echo", "{}"); a.status != want {
			t.Errorf("%s: %d %s", when, a.status, a.body)
		}
	}
	check("off", http.StatusNotFound)
	s.must(http.MethodPost, "/api/v1/workflows/echo/enable", nil)
	check("on", http.StatusOK)
	s.must(http.MethodPost, "/api/v1/workflows/echo/disable", nil)
	check("off again", http.StatusNotFound)
	s.must(http.MethodDelete, "/api/v1/workflows/echo", nil)
	check("deleted", http.StatusNotFound)
}

// Rows 19 and 20: bombs, floods and bodies that never end.
func TestHookBombs(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("echo", `{"id": "echo", "triggers": {"h": {"type": "webhook", "path": "echo", "respond": "on_finish"}}, "nodes": {"x": {"type": "transform", "with": {"value": "{{ input == nil ? 0 : len(input) }}"}}}, "output": "{{ nodes.x.output }}"}`)
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	_, _ = packed.Write(bytes.Repeat([]byte{'0'}, 20<<20))
	_ = packed.Close()
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "x-gzip"} {
		if a := s.do(http.MethodPost, "/hooks/echo", bomb.String(), "Authorization", "", "Content-Encoding", encoding); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d %s", encoding, a.status, a.body)
		}
	}
	many := url.Values{}
	for i := range 200_000 {
		many.Set(fmt.Sprint("k", i), "")
	}
	if a := s.do(http.MethodPost, "/hooks/echo", many.Encode(), "Authorization", "", "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusOK && a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form of many fields: %d %.300s", a.status, a.body)
	}
	for name, head := range map[string]string{
		"a long URL":        "POST /hooks/echo?" + strings.Repeat("a=b&", 20_000) + " HTTP/1.1\r\nContent-Length: 0",
		"a long header":     "POST /hooks/echo HTTP/1.1\r\nContent-Length: 0\r\nX: " + strings.Repeat("a", 100_000),
		"many cookies":      "POST /hooks/echo HTTP/1.1\r\nContent-Length: 0\r\nCookie: " + strings.Repeat("a=b; ", 20_000),
		"two lengths":       "POST /hooks/echo HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5",
		"length and chunks": "POST /hooks/echo HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, chunked",
		"a negative length": "POST /hooks/echo HTTP/1.1\r\nContent-Length: -1",
	} {
		if status, rest := s.raw(head); status < 400 || status >= 500 && status != http.StatusNotImplemented {
			t.Errorf("%s: %d %.200s", name, status, rest)
		}
	}
	for range 300 { // bodies that never come
		c := s.dial()
		fmt.Fprint(c, "POST /hooks/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	}
	if a := s.stranger("/hooks/echo", "[1,2]"); a.status != http.StatusOK || strings.TrimSpace(a.body) != "2" {
		t.Errorf("beside slow bodies: %d %s", a.status, a.body)
	}
	s.alive("bombs")
}

// Row 22: whatever an author's workflow answers cannot act on our origin.
func TestHookAnswersAreHarmless(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("xss", hook("xss", `"<script>fetch('/api/v1/tokens')</script>"`))
	s.apply("fails", `{"id": "fails", "triggers": {"h": {"type": "webhook", "path": "fails", "respond": "on_finish"}}, "nodes": {"x": {"type": "fail", "with": {"message": "<script>alert(1)</script>"}}}}`)
	for path, want := range map[string]int{"/hooks/xss": 200, "/hooks/fails": 502, "/hooks/none": 404, "/hooks/%3Cscript%3E": 404} {
		a := s.do(http.MethodPost, path, "{}", "Authorization", "", "Cookie", "keyflow_session=x", "Origin", "https://evil.example")
		kind := a.header.Get("Content-Type")
		if a.status != want || kind != "application/json" && kind != "application/problem+json" {
			t.Errorf("%s: %d %s %s", path, a.status, kind, a.body)
		}
		if a.header.Get("Content-Security-Policy") != "sandbox" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, a.header)
		}
		for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Service-Worker-Allowed", "Clear-Site-Data"} {
			if a.header.Get(name) != "" {
				t.Errorf("%s: %s: %s", path, name, a.header.Get(name))
			}
		}
	}
}

// The answers of on_finish, and what a repeated delivery gets.
func TestHookRespondModes(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	definition := func(id, respond, nodes string) string {
		return fmt.Sprintf(`{"id": %q, "input": {"type": "object", "properties": {"n": {"type": "integer"}}}, "triggers": {"h": {"type": "webhook", "path": "%s/{id}", %s,
			"input": {"n": "{{ trigger.request.body.n }}"}, "dedupe": "{{ trigger.request.params.id }}"}}, "nodes": {%s}, "output": "{{ nodes.x.output }}"}`, id, id, respond, nodes)
	}
	s.apply("now", definition("now", `"respond": "on_accept"`, `"x": {"type": "transform", "with": {"value": 1}}`))
	s.apply("end", definition("end", `"respond": "on_finish"`, `"x": {"type": "transform", "with": {"value": "{{ [input.n, trigger.request.params.id] }}"}}`))
	s.apply("bad", definition("bad", `"respond": "on_finish"`, `"x": {"type": "fail", "with": {"message": "no"}}`))
	s.apply("slow", definition("slow", `"respond": "on_finish", "respond_timeout": "1s"`, `"x": {"type": "web_request", "with": {"url": "http://`+closedAddress(t)+`/"}, "retry": {"max_attempts": 2, "initial": "1m"}}`))
	for _, tt := range []struct {
		path, body string
		status     int
		want       string // part of the body
	}{
		{"/hooks/now/a", `{"n": 1}`, 202, `{"run_id":"`},
		{"/hooks/end/a%20b", `{"n": 1}`, 200, `[1,"a b"]`},
		{"/hooks/bad/a", `{"n": 1}`, 502, `"run_id":"`},
		{"/hooks/slow/a", `{"n": 1}`, 202, `{"run_id":"`},
	} {
		first := s.stranger(tt.path, tt.body)
		if first.status != tt.status || !strings.Contains(first.body, tt.want) || first.header.Get("Keyflow-Duplicate") != "" {
			t.Errorf("%s: %d %s %v", tt.path, first.status, first.body, first.header)
		}
		again := s.stranger(tt.path, `{"n": 2}`)
		same := strings.ReplaceAll(again.body, text(again.json["request_id"]), "") == strings.ReplaceAll(first.body, text(first.json["request_id"]), "")
		if again.status != first.status || !same || again.header.Get("Keyflow-Duplicate") != "true" {
			t.Errorf("%s again: %d %s %v", tt.path, again.status, again.body, again.header)
		}
	}
	if a := s.stranger("/hooks/end/c", `{"n": "x"}`); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `"path":"/n"`) {
		t.Errorf("against the schema: %d %s", a.status, a.body)
	}
	if n := s.runs("end"); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
}

// F25: callers that hang up leave no trace in the log but their runs.
func TestHookCallersThatHangUp(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("once", `{"id": "once", "triggers": {"h": {"type": "webhook", "path": "once", "dedupe": "{{ trigger.request.body.id }}"}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	const callers = 100
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			body := fmt.Sprintf(`{"id": %d}`, i)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/hooks/once", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			if res, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			if a := s.stranger("/hooks/once", body); a.status != http.StatusAccepted { // the sender tries again
				t.Errorf("caller %d: %d %s", i, a.status, a.body)
			}
		})
	}
	wait.Wait()
	if n := s.runs("once"); n != callers {
		t.Errorf("%d runs, want %d", n, callers)
	}
	if log := s.stderr.String(); strings.Contains(log, "WARN") || strings.Contains(log, "ERROR") {
		t.Errorf("log: %s", log)
	}
}

// Row 63: an answer tells nothing of what is behind it.
func TestHookErrorsTellNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("tmpl", `{"id": "tmpl", "triggers": {"h": {"type": "webhook", "path": "tmpl", "input": {"x": "{{ trigger.request.body.a.b.c + vars.secretname }}"}}}, "vars": {"secretname": "v4rs-canary"}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	a := s.stranger("/hooks/tmpl", `{"a": 1}`)
	var shape map[string]json.RawMessage
	decode(t, a.body, &shape)
	if a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, "canary") || strings.Contains(a.body, "vars") || strings.Contains(a.body, "a.b") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
