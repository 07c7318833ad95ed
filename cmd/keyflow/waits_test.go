package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// partner is a system that is given a URL to call back.
type partner struct {
	mu  sync.Mutex
	url string
}

func newPartner(t *testing.T) (*partner, string) {
	t.Helper()
	p := &partner{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.url = string(body)
		p.mu.Unlock()
		_, _ = w.Write(body) // it repeats what it was given
	}))
	t.Cleanup(server.Close)
	return p, server.URL
}

func (p *partner) given() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

const askPartner = `{"id": "ask", "nodes": {
	"send": {"type": "web_request", "with": {"method": "PUT", "url": "%s", "body_type": "text", "body": "{{ callback_url('back') }}"}},
	"back": {"type": "wait", "needs": ["send"], "with": {"callback": true}},
	"go": {"type": "approval", "needs": ["back"], "with": {"message": "Really?"}}},
	"output": {"n": "{{ nodes.back.output.body.n }}", "method": "{{ nodes.back.output.method }}", "by": "{{ nodes.go.output.by }}", "ok": "{{ nodes.go.output.approved }}", "version": %d}}`

func (s *instance) stepIs(run, node, status string) func() bool {
	return func() bool {
		r := s.do("GET", "/api/v1/runs/"+run, "")
		return strings.Contains(r.body, fmt.Sprintf(`"node":%q,"index":null,"status":%q`, node, status))
	}
}

// A workflow waits for a callback and then for a person, through a kill of the server and an
// upgrade of its definition, and ends with the version that it started with.
func TestWaitsSurviveRestartAndUpgrade(t *testing.T) {
	t.Parallel()
	p, url := newPartner(t)
	dir := t.TempDir()
	s := serve(t, dir)
	s.must("PUT", "/api/v1/workflows/ask", fmt.Sprintf(askPartner, url, 1))
	run, _ := s.must("POST", "/api/v1/workflows/ask/runs", `{}`).json["id"].(string)
	eventually(t, "the step waits", s.stepIs(run, "back", "waiting"))
	s.kill()
	s = serve(t, dir)
	s.must("PUT", "/api/v1/workflows/ask", fmt.Sprintf(askPartner, url, 2))

	path := p.given()[strings.Index(p.given(), "/callbacks/"):]
	last := path[len(path)-3:]
	guessed := strings.TrimSuffix(path, last) + map[bool]string{true: "BBB", false: "AAA"}[last == "AAA"]
	for _, test := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"guessed", "POST", guessed, "{}", 404},
		{"cut", "POST", path[:40], "{}", 404},
		{"nothing", "GET", "/callbacks/", "", 404},
		{"of another node", "POST", strings.Replace(path, ".back.", ".go.", 1), "{}", 404},
		{"broken JSON", "POST", path, "{", 400},
		{"called", "POST", path, `{"n": 7}`, 202},
		{"called again", "POST", path, `{"n": 8}`, 409},
	} {
		if got := s.do(test.method, test.path, test.body, "Authorization", ""); got.status != test.status {
			t.Errorf("%s: status %d, want %d\n%s", test.name, got.status, test.status, got.body)
		}
	}
	eventually(t, "the approval waits", s.stepIs(run, "go", "waiting"))
	if history := s.do("GET", "/api/v1/runs/"+run, "").body; strings.Contains(history, path) || !strings.Contains(history, "/callbacks/***") {
		t.Errorf("the history shows the URL\n%s", history)
	}
	if log := s.stderr.String(); strings.Contains(log, path) {
		t.Error("the log holds the URL")
	}
	approve := "/api/v1/runs/" + run + "/steps/go/approve"
	for _, test := range []struct {
		name, path, body string
		status           int
	}{
		{"a step that does not wait for it", "/api/v1/runs/" + run + "/steps/back/approve", "", 409},
		{"an unknown step", "/api/v1/runs/" + run + "/steps/nope/approve", "", 404},
		{"wrong body", approve, `{"coment": "x"}`, 422},
		{"approved", approve, `{"comment": "fine"}`, 200},
		{"rejected too late", "/api/v1/runs/" + run + "/steps/go/reject", "", 409},
	} {
		if got := s.do("POST", test.path, test.body); got.status != test.status {
			t.Errorf("%s: status %d, want %d\n%s", test.name, got.status, test.status, got.body)
		}
	}
	eventually(t, "the run ends", func() bool {
		return strings.Contains(s.do("GET", "/api/v1/runs/"+run, "").body, `"status":"succeeded","trigger"`)
	})
	if got := s.do("GET", "/api/v1/runs/"+run, "").body; !strings.Contains(got, `"output":{"by":"token:admin-token","method":"POST","n":7,"ok":true,"version":1}`) {
		t.Errorf("the run gave\n%s", got)
	}
}

// A program that shows a preview of a link must not end a wait: only the methods of the node count,
// and HEAD is never one.
func TestReadingACallbackConfirmsNothing(t *testing.T) {
	t.Parallel()
	p, url := newPartner(t)
	s := serve(t, "")
	begin := func(methods string) (run, path string) {
		definition := fmt.Sprintf(askPartner, url, 1)
		if methods != "" {
			definition = strings.Replace(definition, `"callback": true`, `"callback": true, "methods": `+methods, 1)
		}
		s.must("PUT", "/api/v1/workflows/ask", definition)
		run, _ = s.must("POST", "/api/v1/workflows/ask/runs", `{}`).json["id"].(string)
		eventually(t, "the step waits", s.stepIs(run, "back", "waiting"))
		return run, p.given()[strings.Index(p.given(), "/callbacks/"):]
	}
	const browser = "text/html,application/xhtml+xml"
	type ask struct {
		method, accept string
		status         int
		has            string
	}
	for name, tt := range map[string]struct {
		methods string
		asks    []ask
		by      string
	}{
		"default": {"", []ask{
			{"HEAD", "", 200, ""}, {"GET", "", 200, `<form method="post"><button type="submit">Confirm</button></form>`},
			{"GET", browser, 200, "Opening this page has confirmed nothing."}, {"PATCH", "", 405, "this address takes POST, PUT"}, {"DELETE", "", 405, ""},
			{"POST", browser, 202, "The workflow continues."}, {"POST", "", 409, "was called before"}, {"GET", browser, 409, "Nothing to confirm"},
		}, "POST"},
		"PUT":     {`["PUT"]`, []ask{{"HEAD", "", 405, ""}, {"GET", browser, 405, "this address takes PUT"}, {"POST", "", 405, ""}, {"PUT", "", 202, `{"accepted":true}`}}, "PUT"},
		"and GET": {`["GET", "POST"]`, []ask{{"HEAD", "", 200, ""}, {"HEAD", browser, 200, ""}, {"GET", "", 202, `{"accepted":true}`}, {"HEAD", "", 409, ""}}, "GET"},
	} {
		run, path := begin(tt.methods)
		for i, a := range tt.asks {
			body := ""
			if a.method == "PUT" {
				body = `{"n": 1}`
			}
			got := s.do(a.method, path, body, "Authorization", "", "Accept", a.accept)
			if got.status != a.status || !strings.Contains(got.body, a.has) {
				t.Errorf("%s: %d: %s is answered with %d %s, want %d %s", name, i+1, a.method, got.status, got.body, a.status, a.has)
			}
			policy := got.header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "sandbox") || strings.Contains(policy, "allow-forms") != strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || strings.Contains(policy, "script") {
				t.Errorf("%s: %d: policy %q of %s", name, i+1, policy, got.header.Get("Content-Type"))
			}
			switch {
			case a.status == 202:
				eventually(t, "the approval waits", s.stepIs(run, "go", "waiting"))
			case a.status != 409 && !s.stepIs(run, "back", "waiting")():
				t.Errorf("%s: %d: %s has ended the wait", name, i+1, a.method)
			}
		}
		if got := s.do("GET", "/api/v1/runs/"+run, "").body; !strings.Contains(got, `"method":"`+tt.by+`"`) {
			t.Errorf("%s: the output lacks the method %s: %s", name, tt.by, got)
		}
	}
}
