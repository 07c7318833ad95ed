package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Row 17: the URL of a callback is good for its run and node, once, and in its own spelling.
func TestAttackCallbacks(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "--trusted-proxies", "127.0.0.1/32") // else ten wrong calls lock the test out
	p, url := newPartner(t)
	s.apply("ask", fmt.Sprintf(askPartner, url, 1))
	s.apply("two", strings.Replace(fmt.Sprintf(askPartner, url, 1), `"id": "ask"`, `"id": "two"`, 1))
	begin := func(workflow string) (run, path string) {
		run = text(s.must(http.MethodPost, "/api/v1/workflows/"+workflow+"/runs", `{}`).json["id"])
		eventually(t, "the step waits", s.stepIs(run, "back", "waiting"))
		return run, p.given()[strings.Index(p.given(), "/callbacks/"):]
	}
	runA, a := begin("ask")
	_, b := begin("ask")
	_, c := begin("two")
	split := func(path string) (run, node, proof string) {
		parts := strings.Split(strings.TrimPrefix(path, "/callbacks/"), ".")
		return parts[0], parts[1], parts[2]
	}
	idA, node, proofA := split(a)
	idB, _, proofB := split(b)
	_, _, proofC := split(c)
	for name, path := range map[string]string{
		"the proof of another run":           "/callbacks/" + idA + "." + node + "." + proofB,
		"the proof of another workflow":      "/callbacks/" + idA + "." + node + "." + proofC,
		"the run of another proof":           "/callbacks/" + idB + "." + node + "." + proofA,
		"another node":                       "/callbacks/" + idA + ".send." + proofA,
		"no proof":                           "/callbacks/" + idA + "." + node + ".",
		"no node":                            "/callbacks/" + idA + ".." + proofA,
		"the id of the run":                  "/callbacks/" + runA + "." + node + "." + proofA,
		"lower case":                         strings.ToLower(a),
		"doubled slash":                      "/callbacks//" + strings.TrimPrefix(a, "/callbacks/"),
		"a dot segment":                      "/callbacks/./" + strings.TrimPrefix(a, "/callbacks/"),
		"escaped dots":                       strings.ReplaceAll(a, ".", "%2e"),
		"a slash at the end":                 a + "/",
		"padding":                            a + "=",
		"one more byte":                      a + "A",
		"one byte less":                      a[:len(a)-1],
		"the API beneath":                    "/callbacks/../api/v1/runs",
		"NUL":                                a + "%00",
		"long":                               "/callbacks/" + strings.Repeat("A", 6000),
		"the path of the API":                "/api/v1" + a,
		"a semicolon":                        a + ";x",
		"the proof twice":                    a + "." + proofA,
		"the last bits, which carry nothing": a[:len(a)-1] + string(a[len(a)-1]+1),
	} {
		got := s.do(http.MethodPost, path, `{"n": 1}`, "Authorization", "", "X-Forwarded-For", fmt.Sprint("10.0.0.", len(name)))
		if got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for _, path := range []string{a, b, c} {
		if got := s.do(http.MethodPost, path, `{"n": 1}`, "Authorization", ""); got.status != http.StatusAccepted {
			t.Errorf("the right call: %d %s", got.status, got.body)
		}
	}
}

// Only who may operate the run's folder decides; everybody else changes nothing.
func TestAttackApprovals(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("ask", `{"id": "ask", "folder": "/it/prod", "nodes": {"go": {"type": "approval", "with": {"message": "go?"}}}, "output": "{{ nodes.go.output.by }}"}`)
	run := text(s.must(http.MethodPost, "/api/v1/workflows/ask/runs", `{}`).json["id"])
	eventually(t, "the step waits", s.stepIs(run, "go", "waiting"))
	token := func(role, folder string) string {
		return "Bearer " + text(s.must(http.MethodPost, "/api/v1/tokens", map[string]any{"name": role + " of" + strings.ReplaceAll(folder, "/", " ") + ".", "role": role, "folder": folder}).json["token"])
	}
	path := "/api/v1/runs/" + run + "/steps/go/"
	for _, tt := range []struct {
		name, authorization string
		status              int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"a wrong token", "Bearer nope", http.StatusUnauthorized},
		{"a viewer", token("viewer", "/"), http.StatusForbidden},
		{"an operator beside", token("operator", "/hr"), http.StatusNotFound},
		{"an operator of a name that begins the same", token("operator", "/it/production"), http.StatusNotFound},
		{"an operator beneath", token("operator", "/it/prod/eu"), http.StatusNotFound},
		{"an editor elsewhere", token("editor", "/hr"), http.StatusNotFound},
		{"a viewer of the folder", token("viewer", "/it/prod"), http.StatusForbidden},
	} {
		for _, what := range []string{"approve", "reject"} {
			if got := s.do(http.MethodPost, path+what, `{}`, "Authorization", tt.authorization); got.status != tt.status {
				t.Errorf("%s: %s: %d %s, want %d", tt.name, what, got.status, got.body, tt.status)
			}
		}
	}
	operator := token("operator", "/it")
	if got := s.do(http.MethodPost, path+"approve", `{"by": "someone else", "approved": true}`, "Authorization", operator); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a body that says who decides: %d %s", got.status, got.body)
	}
	if !s.stepIs(run, "go", "waiting")() {
		t.Error("somebody decided")
	}
	if got := s.do(http.MethodPost, path+"approve", `{}`, "Authorization", operator); got.status != http.StatusOK || got.json["by"] != "token:operator of it." {
		t.Errorf("the operator: %d %s", got.status, got.body)
	}
}

// Bodies of callers that are not quite JSON are refused; of a key that comes twice the last
// counts, for the schema and for every expression.
func TestAttackAmbiguousBodies(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("in", hook("in", `"{{ input }}"`))
	for name, body := range map[string]string{
		"two values":             `{"a": 1}{"a": 2}`,
		"a value and more":       `{"a": 1} x`,
		"a comment":              `{"a": 1 /* x */}`,
		"a comma too much":       `{"a": 1,}`,
		"NaN":                    `{"a": NaN}`,
		"a number with a zero":   `{"a": 01}`,
		"wrong UTF-8":            "{\"a\": \"\xff\"}",
		"a line break in a text": "{\"a\": \"x\ny\"}",
		"UTF-16":                 "\xff\xfe{\x00}\x00",
	} {
		if a := s.stranger("/hooks/in", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %.300s", name, a.status, a.body)
		}
	}
	if n := s.runs("in"); n != 0 {
		t.Errorf("%d runs", n)
	}
	s.apply("twice", `{"id": "twice", "input": {"properties": {"a": {"type": "integer", "maximum": 5}}}, "triggers": {"h": {"type": "webhook", "path": "twice", "respond": "on_finish"}},
		"nodes": {"x": {"type": "transform", "with": {"value": ["{{ input.a }}", "{{ trigger.request.body.a }}"]}}}, "output": "{{ nodes.x.output }}"}`)
	for body, want := range map[string]string{
		`{"a": 9, "a": 2}`: "200 [2,2]", `{"a": 9, "\u0061": 2}`: "200 [2,2]", `{"a": 2, "a": 9}`: "422 ", `{"a": 2, "b": "\ud800"}`: "200 [2,2]",
	} {
		if a := s.stranger("/hooks/twice", body); !strings.HasPrefix(fmt.Sprint(a.status, " ", a.body), want) {
			t.Errorf("%s: %d %s, want %s", body, a.status, a.body, want)
		}
	}
	for _, body := range []string{`{"input": {"a": 9, "a": 2}}`, `{"input": {"a": 2, "a": 9}}`, `{"input": {"a": 2}, "input": {"a": 9}}`} { // our own clients know better
		if a := s.do(http.MethodPost, "/api/v1/workflows/twice/runs", body); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "duplicate_key") {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// Row 19, the other way: an upstream packs much into little.
func TestAttackBombsOfUpstreams(t *testing.T) {
	t.Parallel()
	var once bytes.Buffer
	packed := gzip.NewWriter(&once)
	zeros := bytes.Repeat([]byte{'0'}, 1<<20)
	for range 200 {
		_, _ = packed.Write(zeros)
	}
	_ = packed.Close()
	var twice bytes.Buffer
	packed = gzip.NewWriter(&twice)
	_, _ = packed.Write(once.Bytes())
	_ = packed.Close()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		switch r.URL.Path {
		case "/twice":
			w.Header().Set("Content-Encoding", "gzip, gzip")
			_, _ = w.Write(twice.Bytes())
		case "/lies":
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write(once.Bytes()[:10])
		case "/unknown":
			w.Header().Set("Content-Encoding", "nonsense")
			_, _ = w.Write(once.Bytes())
		default:
			_, _ = w.Write(once.Bytes())
		}
	}))
	t.Cleanup(up.Close)
	s := serve(t, "")
	s.apply("get", `{"id": "get", "nodes": {"x": {"type": "web_request", "with": {"url": "{{ input }}"}}}, "output": "1"}`)
	for path, code := range map[string]string{"/once": "too_large", "/twice": "", "/lies": "", "/unknown": ""} {
		run := s.run("get", up.URL+path)
		failure, _ := run.json["error"].(map[string]any)
		if run.json["status"] != "failed" || code != "" && failure["code"] != code || failure["code"] == "internal" {
			t.Errorf("%s: %.600s", path, run.body)
		}
	}
	s.alive("bombs of upstreams")
}
