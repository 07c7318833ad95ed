package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answered checks that an attack was answered by us: stored or refused, and never by a fault.
func (s *instance) answered(name string, a answer) {
	s.t.Helper()
	if a.status >= 500 || strings.Contains(a.body, "internal error") || strings.Contains(a.body, "SQLSTATE") {
		s.t.Errorf("%s: %d %.400s", name, a.status, a.body)
	}
}

// Rows 8, 25 and 68: NUL, lone surrogates, tags of other systems and reserved names come back from
// the store as they were sent, wherever a payload goes.
func TestAttackTextsInEveryPayload(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		t.Helper()
		s := serve(t, "", database...)
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"nul": "a\u0000b", "__proto__": {"x": 1}, "\u0000": "\u0000"}`)
		}))
		t.Cleanup(up.Close)
		s.apply("all", `{"id": "all", "triggers": {"h": {"type": "webhook", "path": "all/{id}", "respond": "on_finish", "dedupe": "{{ trigger.request.query?.d }}"}}, "nodes": {
			"__proto__": {"type": "transform", "with": {"value": "{{ input }}"}},
			"constructor": {"type": "web_request", "with": {"url": "`+up.URL+`"}},
			"each": {"type": "transform", "for_each": "[input, nodes.constructor.output.body]", "needs": ["constructor", "__proto__"], "with": {"value": "{{ item }}"}},
			"fails": {"type": "fail", "on_error": "continue", "needs": ["each"], "with": {"message": "{{ toJSON(input) }} \u0000"}}},
			"output": {"input": "{{ input }}", "body": "{{ nodes.constructor.output.body }}", "each": "{{ nodes.each.output }}"}}`)
		hostile := `{"nul": "a\u0000b", "\u0000": ["\u0000"], "__proto__": {"a": 1}, "constructor": null, "$type": "x", "$ref": "#/a", "@class": "java.lang.Runtime", "__type": "x", "": "empty", "a.b": 1, "a[0]": 2, "bidi": "\u202e\ufeff", "big": 123456789012345678901234567890}`
		var want any
		decode(t, hostile, &want)
		runs := map[string]answer{
			"webhook": s.stranger("/hooks/all/x?d=1", hostile),
			"nul in the query, the header and the path": s.do(http.MethodPost, "/hooks/all/x%00y?d=%00&%00=%00", hostile, "Authorization", ""),
		}
		for name, a := range runs {
			if name == "webhook" && a.status != http.StatusOK {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
			s.answered(name, a)
		}
		run := s.must(http.MethodPost, "/api/v1/workflows/all/runs?wait=60s", `{"input": `+hostile+`}`)
		stored := s.must(http.MethodGet, "/api/v1/runs/"+text(run.json["id"]), nil)
		output, _ := stored.json["output"].(map[string]any)
		if diff := cmp.Diff(want, output["input"]); diff != "" {
			t.Errorf("the input came back changed (-want +got):\n%s\n%s", diff, stored.body)
		}
		if body, _ := output["body"].(map[string]any); body["nul"] != "a\x00b" {
			t.Errorf("the answer of the upstream came back as %v", output["body"])
		}
		if !strings.Contains(stored.body, `"node":"fails","index":null,"status":"failed"`) {
			t.Errorf("the failed step: %s", stored.body)
		}
		s.alive("texts")
	})
}

// Rows 64, 66 and 67: what is sent as an id, a name, a filter or a cursor is never a path nor SQL.
func TestAttackTextsInEveryRequest(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		t.Helper()
		s := serve(t, "", database...)
		s.apply("w", `{"id": "w", "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
		run := text(s.run("w", nil).json["id"])
		hostile := []string{
			"\x00", "a\x00b", "'", `"`, "1 OR 1=1", "' OR '1'='1", "1; DROP TABLE runs --", "'); SELECT pg_sleep(9) --", "%' OR 1=1 --", "..", "../../etc/passwd", `..\`, "/", "//",
			"\xff\xfe", "\u202e", strings.Repeat("x", 5000), "-1", "NaN", "null", "[]", "{}", "%00", "*",
		}
		for _, bad := range hostile {
			q, p := url.QueryEscape(bad), url.PathEscape(bad)
			for _, path := range []string{
				"/api/v1/runs?workflow=", "/api/v1/runs?status=", "/api/v1/runs?folder=", "/api/v1/runs?trigger=", "/api/v1/runs?since=", "/api/v1/runs?cursor=", "/api/v1/runs?limit=",
				"/api/v1/workflows?folder=", "/api/v1/workflows?cursor=", "/api/v1/credentials?folder=", "/api/v1/credentials?cursor=", "/api/v1/credentials?q=", "/api/v1/triggers?cursor=", "/api/v1/triggers?workflow=",
			} {
				a := s.do(http.MethodGet, path+q, nil)
				s.answered("GET "+path+q, a)
				if items, _ := a.json["items"].([]any); strings.HasPrefix(path, "/api/v1/runs?workflow") && len(items) > 0 {
					t.Errorf("GET %s%s found something: %s", path, q, a.body)
				}
			}
			for _, path := range []string{
				"GET /api/v1/runs/", "DELETE /api/v1/runs/", "POST /api/v1/runs/" + run + "/steps/x/approve?x=", "GET /api/v1/workflows/", "DELETE /api/v1/workflows/", "GET /api/v1/credentials/", "POST /hooks/", "POST /callbacks/",
			} {
				method, path, _ := strings.Cut(path, " ")
				s.answered(method+" "+path+p, s.do(method, path+p, "{}"))
			}
			id, _ := json.Marshal(bad)
			s.answered("idempotency key", s.do(http.MethodPost, "/api/v1/workflows/w/runs", "{}", "Idempotency-Key", strings.ToValidUTF8(strings.Map(printable, bad), "")))
			for path, body := range map[string]string{
				"PUT /api/v1/workflows/w":    `{"id": "w", "name": ` + string(id) + `, "description": ` + string(id) + `, "labels": {` + string(id) + `: ` + string(id) + `}, "nodes": {"x": {"type": "transform", "with": {"value": ` + string(id) + `}}}}`,
				"PUT /api/v1/workflows/v":    `{"id": "v", "folder": ` + string(id) + `, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`,
				"POST /api/v1/credentials":   `{"id": ` + string(id) + `, "name": ` + string(id) + `, "type": "no_auth", "folder": ` + string(id) + `, "labels": {` + string(id) + `: "x"}}`,
				"POST /api/v1/credentials?n": `{"id": "n", "name": ` + string(id) + `, "description": ` + string(id) + `, "type": "basic_auth", "allowed_hosts": ["x.example.com"], "fields": {"username": ` + string(id) + `, "password": ` + string(id) + `}}`,
				"POST /api/v1/tokens":        `{"name": ` + string(id) + `, "role": "viewer", "folder": "/"}`,
			} {
				method, path, _ := strings.Cut(path, " ")
				s.answered(method+" "+path+" with "+string(id), s.do(method, path, body))
				if strings.HasSuffix(path, "?n") {
					s.do(http.MethodDelete, "/api/v1/credentials/n", nil)
				}
			}
		}
		if got := s.must(http.MethodGet, "/api/v1/runs/"+run, nil); got.json["status"] != "succeeded" {
			t.Errorf("the run is gone: %s", got.body)
		}
	})
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}
