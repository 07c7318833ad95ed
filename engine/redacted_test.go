package engine_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

const sessionCookie = "c4nary-session-7d1f"

// site is a server with a login, which notes what it is asked and repeats it.
type site struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/login" {
			w.Header().Add("Set-Cookie", "session="+sessionCookie+"; Path=/; HttpOnly")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"hint": "***"}`)
			return
		}
		body, _ := io.ReadAll(req.Body)
		s.mu.Lock()
		s.seen = append(s.seen, req.Header.Get("Cookie")+" "+string(body))
		s.mu.Unlock()
		if req.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "you sent "+req.Header.Get("Cookie")+" and "+strings.TrimPrefix(req.Header.Get("Cookie"), "session="))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, "\n")
}

const useCookie = `"headers": {"Cookie": "{{ split(nodes.from.output.headers['set-cookie'], ';')[0] }}"}`

// TestCookieIsUsedAndNotShown: the cookie of an answer reaches later requests of the run, through
// data, a crash and a rerun, and is seen nowhere.
func TestCookieIsUsedAndNotShown(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"no credential":            `"login": {"type": "web_request", "with": {"url": "URL/login"}}, "from": {"type": "transform", "needs": ["login"], "with": {"value": "{{ nodes.login.output }}"}}`,
		"sensitive":                `"from": {"type": "web_request", "sensitive": true, "with": {"url": "URL/login"}}`,
		"sensitive and credential": `"from": {"type": "web_request", "sensitive": true, "credential": "erp", "with": {"url": "URL/login"}}`,
	}
	for name, from := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := setup(t), newSite(t)
			w.stop()
			w.boot(engine.Options{Exclusive: true, Sealer: box{}})
			atWork := make(chan struct{}, 1)
			w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
				if c.n == 1 {
					atWork <- struct{}{}
					<-ctx.Done()
				}
				return nil, ctx.Err()
			}
			id := w.start(w.apply(strings.ReplaceAll(`{"id": "cookie", "nodes": {`+from+`,
			  "pause": {"type": "call", "needs": ["from"], "with": {"name": "pause"}},
			  "ok": {"type": "web_request", "needs": ["pause"], "with": {"method": "POST", "url": "URL/echo", "body": "sent", `+useCookie+`}},
			  "bad": {"type": "web_request", "needs": ["pause"], "on_error": "continue", "with": {"url": "URL/refuse", `+useCookie+`}}},
			  "output": ["{{ nodes.from.output }}", "{{ nodes.ok.output }}"]}`, "URL", s.URL)), "")
			<-atWork
			w.kill()
			w.boot(engine.Options{Exclusive: true, Sealer: box{}})
			run, steps := w.wait(id)
			if run.Status != runs.Succeeded || !strings.Contains(s.requests(), "session="+sessionCookie+" sent") {
				t.Errorf("%s %+v, %+v; the server got %q", run.Status, run.Error, steps["ok"].Error, s.requests())
			}
			if steps["bad"].Error == nil || steps["bad"].Error.Code != nodes.CodeHTTPStatus {
				t.Errorf("the refused request: %+v", steps["bad"].Error)
			}
			if text := w.all(id); strings.Contains(text, "c4nary") || !strings.Contains(text, "***") {
				t.Errorf("the cookie is seen: %s", text)
			}
		})
	}
}

// TestRedactedValueIsNotUsed: what is *** in an output is an error wherever it would count, and
// the error names the node; nothing is sent.
func TestRedactedValueIsNotUsed(t *testing.T) {
	t.Parallel()
	const login = `"login": {"type": "web_request", "credential": "erp", "with": {"url": "URL/login"}}`
	const cookie = `nodes.login.output.headers['set-cookie']`
	tests := map[string]string{
		"header":               login + `, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "headers": {"Cookie": "{{ ` + cookie + ` }}"}}}`,
		"part of a header":     login + `, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "headers": {"Cookie": "a={{ ` + cookie + ` }}"}}}`,
		"URL":                  login + `, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/{{ ` + cookie + ` }}"}}`,
		"whole headers":        login + `, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "body": "{{ nodes.login.output }}"}}`,
		"JSON text":            login + `, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "body": "{{ toJSON(nodes.login.output) }}"}}`,
		"event":                login + `, "x": {"type": "emit", "needs": ["login"], "with": {"event": "com.example.x", "data": "{{ nodes.login.output.headers }}"}}`,
		"input of a workflow":  login + `, "x": {"type": "workflow", "needs": ["login"], "with": {"workflow": "other", "input": {"c": "{{ ` + cookie + ` }}"}}}`,
		"condition":            login + `, "x": {"type": "call", "needs": ["login"], "if": "` + cookie + ` == 'session'"}`,
		"condition on a part":  login + `, "x": {"type": "call", "needs": ["login"], "if": "` + cookie + ` contains 'session'"}`,
		"length":               login + `, "x": {"type": "call", "needs": ["login"], "if": "len(` + cookie + `) > 3"}`,
		"elements":             login + `, "x": {"type": "call", "needs": ["login"], "for_each": "` + cookie + `"}`,
		"sensitive member":     `"login": {"type": "call", "sensitive": true, "with": {"arg": {"key": "` + newKey + `"}}}, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "body": "{{ nodes.login.output.key }}"}}`,
		"sensitive output":     `"login": {"type": "call", "sensitive": true, "with": {"arg": "` + newKey + `"}}, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "body": "{{ nodes.login.output }}"}}`,
		"sensitive element":    `"login": {"type": "call", "sensitive": true, "for_each": "1..2", "with": {"arg": "` + newKey + `"}}, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/x", "body": "{{ nodes.login.output[0] }}"}}`,
		"answer of a failure":  `"login": {"type": "web_request", "on_error": "continue", "with": {"url": "URL/login", "success": [204]}}, "x": {"type": "web_request", "needs": ["login"], "run_on": "always", "with": {"url": "URL/x", "body": "{{ nodes.login.error.response.headers }}"}}`,
		"sensitive condition":  `"login": {"type": "call", "sensitive": true, "with": {"arg": "` + newKey + `"}}, "x": {"type": "call", "needs": ["login"], "if": "nodes.login.output == '***'"}`,
		"bare condition":       login + `, "x": {"type": "call", "needs": ["login"], "if": "` + cookie + `"}`,
		"usable, in condition": `"login": {"type": "web_request", "with": {"url": "URL/login"}}, "x": {"type": "call", "needs": ["login"], "if": "` + cookie + ` startsWith 'session'"}`,
		"usable, in a URL":     `"login": {"type": "web_request", "with": {"url": "URL/login"}}, "x": {"type": "web_request", "needs": ["login"], "with": {"url": "URL/{{ ` + cookie + ` }}"}}`,
	}
	for name, list := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := setup(t), newSite(t)
			w.stop()
			w.boot(engine.Options{Exclusive: true, Sealer: box{}})
			w.apply(`{"id": "other", "nodes": {"a": {"type": "call"}}}`)
			id := w.start(w.apply(strings.ReplaceAll(`{"id": "used", "nodes": {`+list+`}}`, "URL", s.URL)), "")
			run, steps := w.wait(id)
			failed := steps["x"].Error
			if run.Status != runs.Failed || failed == nil || failed.Code != nodes.CodeExpression ||
				!strings.Contains(failed.Message, "redacted value") || !strings.Contains(failed.Message, `"login"`) {
				t.Errorf("%s %+v", run.Status, failed)
			}
			if got := s.requests(); got != "" {
				t.Errorf("the server got %q", got)
			}
			if text := w.all(id); strings.Contains(text, "c4nary-session") {
				t.Errorf("the cookie is seen: %s", text)
			}
		})
	}
}

// The masked headers of the request that started a run cannot be used either.
func TestRedactedHeaderOfTheTriggerIsNotUsed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "hook", "triggers": {"in": {"type": "webhook", "path": "hook"}}, "nodes": {
	  "x": {"type": "call", "with": {"name": "{{ trigger.request.headers.authorization }}"}}}}`)
	started, err := w.engine.Start(t.Context(), engine.Start{Workflow: id, Trigger: runs.TriggerRef{
		ID: "in", Type: "webhook", Request: []byte(`{"headers": {"authorization": "***", "x-note": "***"}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	run, steps := w.wait(started.Run)
	if run.Status != runs.Failed || !strings.Contains(steps["x"].Error.Message, `the header "authorization"`) {
		t.Errorf("%s %+v", run.Status, steps["x"].Error)
	}
}

// A literal *** of an author or an upstream is a text like any other.
func TestLiteralMaskIsText(t *testing.T) {
	t.Parallel()
	w, s := setup(t), newSite(t)
	id := w.start(w.apply(strings.ReplaceAll(`{"id": "literal", "nodes": {
	  "get": {"type": "web_request", "with": {"url": "URL/login"}},
	  "x": {"type": "web_request", "needs": ["get"], "if": "nodes.get.output.body.hint == '***'", "with": {"method": "POST", "url": "URL/x",
	    "headers": {"Cookie": "***"}, "body": {"a": "***", "b": "{{ nodes.get.output.body.hint }}", "c": "{{ input.c }}"}}}}}`, "URL", s.URL)), `{"c": "***"}`)
	if run, steps := w.wait(id); run.Status != runs.Succeeded {
		t.Fatalf("%s %+v", run.Status, steps["x"].Error)
	}
	if got, want := s.requests(), `*** {"a":"***","b":"***","c":"***"}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// Each cookie of an answer is masked in what comes back, also where several were sent as one text;
// what is said of them, such as their domain, is no secret.
func TestEachCookieThatIsSentIsMasked(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/login" {
			w.Header().Add("Set-Cookie", "session="+sessionCookie+"; Domain=shop.example.com; Path=/orders/v2")
			w.Header().Add("Set-Cookie", `csrf="c4nary-csrf-token-99"; Secure; Max-Age=86400000`)
			return
		}
		_, _ = io.WriteString(w, strings.TrimPrefix(req.URL.Path, "/"))
	}))
	t.Cleanup(s.Close)
	tests := map[string]struct{ cookie, path, want string }{
		"the first":     {`{{ nodes.login.output.headers['set-cookie'] }}`, sessionCookie, "***"},
		"the second":    {`{{ nodes.login.output.headers['set-cookie'] }}`, "c4nary-csrf-token-99", "***"},
		"a replacement": {`{{ replace(nodes.login.output.headers['set-cookie'], 'Secure', '') }}`, "c4nary-csrf-token-99", "***"},
		"the domain":    {`{{ nodes.login.output.headers['set-cookie'] }}`, "shop.example.com", "shop.example.com"},
		"the path":      {`{{ nodes.login.output.headers['set-cookie'] }}`, "orders/v2", "orders/v2"},
		"the age":       {`{{ nodes.login.output.headers['set-cookie'] }}`, "86400000", "86400000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.stop()
			w.boot(engine.Options{Exclusive: true, Sealer: box{}})
			id := w.start(w.apply(`{"id": "cookies", "nodes": {
			  "login": {"type": "web_request", "with": {"url": "`+s.URL+`/login"}},
			  "x": {"type": "web_request", "needs": ["login"], "with": {"url": "`+s.URL+"/"+tt.path+`", "headers": {"Cookie": "`+tt.cookie+`"}}}},
			  "output": "{{ nodes.x.output.body }}"}`), "")
			run, steps := w.wait(id)
			if run.Status != runs.Succeeded || string(run.Output) != `"`+tt.want+`"` {
				t.Errorf("%s %s %+v", run.Status, run.Output, steps["x"].Error)
			}
		})
	}
}
