package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"keyflow/engine/runs"
)

// TestNumbersKeepEveryDigit: any JSON number goes from an answer and from the input through
// expressions, elements and history into the next request, digit for digit.
func TestNumbersKeepEveryDigit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var answer, asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			body, _ := io.ReadAll(req.Body)
			asked.Store(req.URL.RawQuery + " " + string(body))
			return
		}
		res.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(res, answer.Load().(string))
	}))
	t.Cleanup(server.Close)
	id := w.apply(strings.ReplaceAll(`{"id": "digits", "nodes": {
	  "get": {"type": "web_request", "with": {"url": "URL"}, "output": "{{ this.body }}"},
	  "each": {"type": "call", "needs": ["get"], "for_each": "nodes.get.output.list", "with": {"arg": "{{ {\"of\": item} }}"}},
	  "send": {"type": "web_request", "needs": ["each"], "with": {"method": "POST", "url": "URL/?n={{ nodes.get.output.list[0] }}",
	    "body": {"each": "{{ nodes.each.output }}", "in": "{{ input }}", "text": "{{ nodes.get.output.list[0] }}"}}}},
	  "output": "{{ nodes.each.output }}"}`, "URL", server.URL))
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE]\+?[0-9]{1,3})?`)
	rapid.Check(t, func(rt *rapid.T) {
		n := number.Draw(rt, "number")
		answer.Store(`{"list":[` + n + `]}`)
		run := w.start(id, `{"n": `+n+`}`)
		ended, steps := w.wait(run)
		if ended.Status != runs.Succeeded {
			rt.Fatalf("%s: %s %+v", n, ended.Status, ended.Error)
		}
		if want := `[{"of":` + n + `}]`; string(ended.Output) != want || string(steps["get"].Output) != `{"list":[`+n+`]}` {
			rt.Fatalf("output is %s after %s, want %s", ended.Output, steps["get"].Output, want)
		}
		query := "n=" + strings.ReplaceAll(n, "+", "%2B")
		want := query + ` {"each":[{"of":` + n + `}],"in":{"n":` + n + `},"text":` + n + `}`
		if got := strings.Replace(asked.Load().(string), "n="+n, query, 1); got != want {
			rt.Fatalf("sent %s, want %s", got, want)
		}
	})
}

// A parameter that is a whole number takes one however it is written, and no other.
func TestWholeNumberParameters(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "whole", "nodes": {"a": {"type": "call", "with": {"times": "{{ input.n }}", "arg": 1}}}}`)
	for n, want := range map[string]runs.Status{
		"3": runs.Succeeded, "3.0": runs.Succeeded, "30e-1": runs.Succeeded,
		"3.5": runs.Failed, "12345678901234567890": runs.Failed, "1e400": runs.Failed,
	} {
		if run, steps := w.wait(w.start(id, `{"n": `+n+`}`)); run.Status != want {
			t.Errorf("%s: %s %+v", n, run.Status, steps["a"].Error)
		}
	}
}
