package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// F38: large data is an error of the run that asked for it, and nothing else notices.
func TestLargeData(t *testing.T) {
	t.Parallel()
	piece := bytes.Repeat([]byte("x"), 1<<20)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge": // 100 MiB, if anybody wants them
			for range 100 {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		case "/deep":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000)))
		case "/many":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("[" + strings.Repeat("1,", 999_999) + "1]"))
		default:
			_, _ = w.Write([]byte("small"))
		}
	}))
	t.Cleanup(upstream.Close)
	s := serve(t, "")
	get := func(path, more string) string {
		return fmt.Sprintf(`{"type": "web_request", "with": {"url": "%s%s"%s}}`, upstream.URL, path, more)
	}
	for name, tt := range map[string]struct{ nodes, want string }{
		"huge":      {`"a": ` + get("/huge", ""), `"code":"too_large","message":"` + strings.TrimPrefix(upstream.URL, "http://") + `: the answer is larger than 10485760 bytes (max_bytes)"`},
		"huger":     {`"a": ` + get("/huge", `, "max_bytes": 67108864`), `the answer is larger than 67108864 bytes (max_bytes)`},
		"large":     {`"a": ` + get("/many", ""), `"code":"too_large","message":"the output has `},
		"deep":      {`"a": ` + get("/deep", `, "response": "json"`), `"code":"too_large","message":"` + strings.TrimPrefix(upstream.URL, "http://") + ` answered with JSON that cannot be read: nested deeper than 1000 levels`},
		"deep text": {`"a": {"type": "web_request", "with": {"url": "` + upstream.URL + `/deep", "response": "text"}, "output": "{{ fromJSON(this.body) }}"}`, `"code":"expression"`},
		"elements": {`"a": {"type": "web_request", "with": {"url": "` + upstream.URL + `/many", "response": "text"}, "output": "{{ len(this.body) }}"},
			"b": {"type": "transform", "needs": ["a"], "for_each": "1..1000000", "with": {"value": 1}}`, `"status":"failed"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := strings.ReplaceAll(name, " ", "-")
			s.apply(id, `{"id": "`+id+`", "nodes": {`+tt.nodes+`}}`)
			s.apply(id+"-beside", `{"id": "`+id+`-beside", "nodes": {"a": `+get("/small", "")+`}, "output": "{{ nodes.a.output.body }}"}`)
			if a := s.run(id, nil); a.json["status"] != "failed" || !strings.Contains(a.body, tt.want) {
				t.Errorf("%.2000s", a.body)
			}
			if a := s.run(id+"-beside", nil); a.json["output"] != "small" {
				t.Errorf("the run beside it: %.2000s", a.body)
			}
		})
	}
	s.apply("any", `{"id": "any", "nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`)
	for name, tt := range map[string]struct {
		input  string
		status int
	}{
		"large": {`"` + strings.Repeat("x", 11<<20) + `"`, http.StatusRequestEntityTooLarge},
		"deep":  {strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000), http.StatusBadRequest},
	} {
		if a := s.do(http.MethodPost, "/api/v1/workflows/any/runs", `{"input": `+tt.input+`}`); a.status != tt.status {
			t.Errorf("%s input: %d %.200s", name, a.status, a.body)
		}
	}
}
