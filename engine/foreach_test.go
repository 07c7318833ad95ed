package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

// forEach is one node over input.list, with further fields, and an output that reads it.
func forEach(fields string) string {
	return `{"id": "each", "nodes": {"each": {"type": "call", "for_each": "input.list", "with": {"name": "each", "arg": "{{ item }}"}` + fields + `}},
	  "output": "{{ nodes.each.output }}"}`
}

func TestForEach(t *testing.T) {
	t.Parallel()
	bad := &nodes.Error{Code: nodes.CodeHTTPStatus, Status: 400, Message: "answered 400"}
	tests := map[string]struct {
		fields, input string
		output        string
		err           *runs.RunError
		steps         map[string]runs.StepStatus
	}{
		"list in order": {
			fields: `, "max_parallel": 3`, input: `[3, 1, 2]`, output: `[3,1,2]`,
			steps: map[string]runs.StepStatus{"each": "succeeded", "each/0": "succeeded", "each/1": "succeeded", "each/2": "succeeded"},
		},
		"map in key order": {
			fields: `, "output": "{{ key }}={{ item }}@{{ index }}"`, input: `{"b": 1, "a": 2}`, output: `["a=2@0","b=1@1"]`,
			steps: map[string]runs.StepStatus{"each": "succeeded", "each/0": "succeeded", "each/1": "succeeded"},
		},
		"empty": {
			input: `[]`, output: `[]`, steps: map[string]runs.StepStatus{"each": "succeeded"},
		},
		"the first failure stops": {
			input: `[1, "bad", 3]`, err: &runs.RunError{Node: "each", Code: "http_status", Message: "element 1: answered 400"},
			steps: map[string]runs.StepStatus{"each": "failed", "each/0": "succeeded", "each/1": "failed"},
		},
		"failures are kept": {
			fields: `, "on_item_error": "continue"`, input: `["bad", 2]`,
			output: `[{"error":{"attempt":1,"code":"http_status","message":"answered 400","response":null}},2]`,
			steps:  map[string]runs.StepStatus{"each": "succeeded", "each/0": "failed", "each/1": "succeeded"},
		},
		"skipped as a whole": {
			fields: `, "if": "len(input.list) > 5"`, input: `[1]`, output: `null`, steps: map[string]runs.StepStatus{"each": "skipped"},
		},
		"not a list": {
			input: `"text"`, err: &runs.RunError{Node: "each", Code: "expression", Message: "for_each gave text, not a list or an object"},
			steps: map[string]runs.StepStatus{"each": "failed"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
				if c.arg == "bad" {
					return nil, bad
				}
				return c.arg, nil
			}
			run, steps := w.wait(w.start(w.apply(forEach(tt.fields)), `{"list": `+tt.input+`}`))
			if diff := cmp.Diff(tt.steps, statuses(steps)) + cmp.Diff(tt.err, run.Error); diff != "" || string(run.Output) != tt.output {
				t.Errorf("output %s; steps and error (-want +got):\n%s", run.Output, diff)
			}
			if tt.output != "" && tt.output != "null" && string(steps["each"].Output) != tt.output {
				t.Errorf("collected output %s, want %s", steps["each"].Output, tt.output)
			}
		})
	}
}

func TestForEachParallel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork, most := 0, 0
	full := make(chan struct{})
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) {
		w.mu.Lock()
		if atWork++; atWork > most {
			if most = atWork; most == 4 {
				close(full)
			}
		}
		w.mu.Unlock()
		select {
		case <-full: // four are at work at once
		case <-ctx.Done():
		}
		w.mu.Lock()
		atWork--
		w.mu.Unlock()
		return nil, nil
	}
	run, _ := w.wait(w.start(w.apply(forEach(`, "max_parallel": 4, "timeout": "10s"`)), `{"list": [1, 2, 3, 4, 5, 6, 7, 8, 9]}`))
	if run.Status != runs.Succeeded || most != 4 {
		t.Errorf("run %s with %d elements at once, want 4", run.Status, most)
	}
}

func TestForEachLimits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "many", "nodes": {"each": {"type": "call", "for_each": "1..100001", "with": {"name": "each"}}}}`)
	run, _ := w.wait(w.start(id, ""))
	want := &runs.RunError{Node: "each", Code: "too_large", Message: "for_each gave 100001 elements; at most 100000 are allowed"}
	if diff := cmp.Diff(want, run.Error); diff != "" || w.count("each") != 0 {
		t.Errorf("%d calls; error (-want +got):\n%s", w.count("each"), diff)
	}
}

// TestStepErrors pins what a step says about mistakes that show only when it runs.
func TestStepErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ node, code, message string }{
		"if":             {`"if": "input.n"`, "expression", "if gave a number, not a boolean"},
		"if, with retry": {`"if": "input.text.x", "retry": {"max_attempts": 3, "initial": "1ms", "if": "true"}`, "expression", "if: "},
		"null in text":   {`"with": {"arg": {"a": ["x {{ input.none }}"]}}`, "expression", "with.arg.a.0: "},
		"kind":           {`"with": {"times": "{{ input.text }}"}`, "invalid_param", "with.times: must be an integer, not text"},
		"fraction":       {`"with": {"times": "{{ input.n + 0.5 }}"}`, "invalid_param", "with.times: must be an integer, not a number"},
		"enum":           {`"with": {"mode": "{{ input.text }}"}`, "invalid_param", "with.mode: must be one of fast, slow"},
		"duration":       {`"with": {"for": "{{ input.text }}"}`, "invalid_param", `with.for: "some" is not a duration`},
		"output":         {`"output": "{{ this.a.b }}"`, "expression", "output: "},
		"too large":      {`"output": "{{ repeat('x', 1000000) + repeat('y', 100000) }}"`, "too_large", "the output has 1100002 bytes; at most 1048576 are allowed: choose what is needed with \"output\""},
		"no credential":  {`"credential": "{{ input.n }}"`, "invalid_param", "credential: must be the id of a credential, not a number"},
		"retry.if":       {`"with": {"name": "fails"}, "retry": {"max_attempts": 3, "if": "error.code"}`, "expression", "retry.if gave text, not a boolean (the attempt failed with network: refused)"},
		"panic":          {`"with": {"name": "panics"}`, "internal", "internal error"},
		"foreign error":  {`"with": {"name": "foreign"}`, "internal", "internal error"},
		"client":         {`"credential": "missing", "with": {"name": "client"}`, "credential_unknown", `credential "missing" does not exist`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.do = func(_ context.Context, env nodes.Env, c call) (any, error) {
				switch c.name {
				case "fails":
					return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "refused"}
				case "panics":
					panic("secret-4711")
				case "foreign":
					return nil, fmt.Errorf("dial: secret-4711")
				case "client":
					_, err := env.Client(nodes.ClientOptions{})
					return nil, err
				}
				return map[string]any{}, nil
			}
			run, steps := w.wait(w.start(w.apply(`{"id": "wrong", "nodes": {"a": {"type": "call", `+tt.node+`}}}`), `{"n": 1, "text": "some"}`))
			step := steps["a"]
			if run.Status != runs.Failed || step.Error == nil || step.Error.Code != tt.code || !strings.HasPrefix(step.Error.Message, tt.message) {
				t.Errorf("run %s, step error %+v, want %s: %s", run.Status, step.Error, tt.code, tt.message)
			}
			if run.Error == nil || run.Error.Node != "a" || run.Error.Code != step.Error.Code || run.Error.Message != step.Error.Message {
				t.Errorf("run error %+v", run.Error)
			}
		})
	}
}

// TestRefusedCredential: the failure keeps the answer that refused the credential, and a
// refusal is not tried again; a token endpoint that does not answer is.
func TestRefusedCredential(t *testing.T) {
	t.Parallel()
	w := setup(t)
	answer := &credentials.Answer{
		Status: http.StatusUnauthorized, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"message": "expired"}`),
	}
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		switch {
		case c.name == "refused":
			return nil, &url.Error{Op: "Get", URL: "http://x", Err: &credentials.Error{Code: credentials.CodeRefused, Message: "refused", Answer: answer}}
		case c.n == 1:
			return nil, &credentials.Error{Code: nodes.CodeNetwork, Message: "the token request got no answer"}
		}
		return "done", nil
	}
	run, steps := w.wait(w.start(w.apply(`{"id": "refused", "nodes": {
	  "a": {"type": "call", "with": {"name": "refused"}, "on_error": "continue", "retry": {"max_attempts": 3, "initial": "1ms"}},
	  "b": {"type": "call", "with": {"name": "away"}, "retry": {"max_attempts": 3, "initial": "1ms"}}}}`), ""))
	want := &runs.StepError{
		Code: "credential_refused", Message: "refused", Attempt: 1,
		Response: []byte(`{"body":{"message":"expired"},"headers":{"content-type":"application/json"},"status":401}`),
	}
	if diff := cmp.Diff(want, steps["a"].Error); diff != "" || run.Status != runs.Succeeded {
		t.Errorf("run %s, step error (-want +got):\n%s", run.Status, diff)
	}
	if steps["b"].Status != runs.StepSucceeded || len(steps["b"].Attempts) != 2 {
		t.Errorf("step b %s after %d attempts, want 2", steps["b"].Status, len(steps["b"].Attempts))
	}
}

func TestRetryIf(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		return nil, &nodes.Error{Code: nodes.CodeFailIf, Message: "busy", Response: map[string]any{"status": 200, "body": map[string]any{"busy": c.n < 3}}}
	}
	run, steps := w.wait(w.start(w.apply(`{"id": "busy", "nodes": {"a": {"type": "call", "with": {"name": "a"},
	  "retry": {"max_attempts": 9, "initial": "1ms", "if": "error.code == 'fail_if' && error.response.body.busy"}}}}`), ""))
	if run.Status != runs.Failed || len(steps["a"].Attempts) != 3 {
		t.Errorf("run %s after %d attempts, want 3", run.Status, len(steps["a"].Attempts))
	}
}

// TestRunOutputFails: a result that cannot be computed fails the run, not a step.
func TestRunOutputFails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run, steps := w.wait(w.start(w.apply(`{"id": "out", "nodes": {"a": {"type": "call"}}, "output": "{{ nodes.a.output.b.c }}"}`), ""))
	if run.Status != runs.Failed || run.Error.Code != "expression" || run.Error.Node != "" || !strings.HasPrefix(run.Error.Message, "output: ") || steps["a"].Status != runs.StepSucceeded {
		t.Errorf("run %s, error %+v, step %s", run.Status, run.Error, steps["a"].Status)
	}
}

func TestFailNode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run, steps := w.wait(w.start(w.apply(`{"id": "fail", "nodes": {
	  "a": {"type": "fail", "with": {"message": "no {{ input.what }}"}, "retry": {"max_attempts": 3, "initial": "1ms", "if": "true"}}, "b": {"type": "call", "needs": ["a"]}}}`), `{"what": "stock"}`))
	want := &runs.RunError{Node: "a", Code: "failed", Message: "no stock"}
	if diff := cmp.Diff(want, run.Error); diff != "" || run.Status != runs.Failed || len(steps["a"].Attempts) != 1 || steps["b"].Status != runs.StepSkipped {
		t.Errorf("run %s, %d attempts, b %s; error (-want +got):\n%s", run.Status, len(steps["a"].Attempts), steps["b"].Status, diff)
	}
}
