package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tenNodes has a diamond, an if, a for_each, a failing node with retries and one with
// on_error: continue.
const tenNodes = `{
  "id": "ten",
  "nodes": {
    "start": {"type": "transform", "with": {"value": {"items": [1, 2, 3]}}},
    "left":  {"type": "web_request", "needs": ["start"], "with": {"url": "UP/ok"}, "output": "{{ this.status }}"},
    "right": {"type": "web_request", "needs": ["start"], "with": {"url": "UP/ok"}, "output": "{{ this.status }}"},
    "join":  {"type": "transform", "needs": ["left", "right"], "run_on": "all_success", "with": {"value": "{{ nodes.left.output + nodes.right.output }}"}},
    "never": {"type": "transform", "needs": ["join"], "if": "nodes.join.output == 0", "with": {"value": 1}},
    "after_never": {"type": "transform", "needs": ["never"], "with": {"value": 1}},
    "each":  {"type": "web_request", "needs": ["start"], "for_each": "nodes.start.output.items", "max_parallel": 2, "with": {"url": "UP/item/{{ item }}"}, "output": "{{ index }}"},
    "flaky": {"type": "web_request", "needs": ["start"], "retry": {"max_attempts": 3, "initial": "10ms"}, "with": {"url": "UP/flaky"}, "output": "{{ this.status }}"},
    "soft":  {"type": "web_request", "needs": ["start"], "on_error": "continue", "with": {"url": "UP/gone"}},
    "rescue": {"type": "transform", "needs": ["soft"], "run_on": "failure", "with": {"value": "{{ nodes.soft.error.code }}"}}
  },
  "output": {"join": "{{ nodes.join.output }}", "each": "{{ nodes.each.output }}", "rescue": "{{ nodes.rescue.output }}"}
}`

// unsteady answers /flaky with 503 twice before it is well, and /gone with 404.
func unsteady(t *testing.T) *httptest.Server {
	t.Helper()
	var flaky atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/flaky" && flaky.Add(1) < 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/gone", r.URL.Path == "/down":
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprint(w, "ok")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func writeWorkflow(t *testing.T, definition, upstream string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "workflow.json")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(definition, "UP", upstream)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRunFileShowsTheTreeAndTheOutput(t *testing.T) {
	t.Parallel()
	file := writeWorkflow(t, tenNodes, unsteady(t).URL)
	r := keyflow(t, nil, "run", file, "--egress-allow", "private")
	if r.code != exitOK {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	var output map[string]any
	decode(t, r.stdout, &output)
	want := map[string]any{"join": 400.0, "each": []any{0.0, 1.0, 2.0}, "rescue": "http_status"}
	if diff := cmp.Diff(want, output); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	last := map[string]string{}
	for line := range strings.Lines(r.stderr) {
		if f := strings.Fields(line); len(f) >= 3 {
			last[f[1]] = f[2]
		}
	}
	states := map[string]string{
		"start": "succeeded", "left": "succeeded", "right": "succeeded", "join": "succeeded", "never": "skipped", "after_never": "skipped",
		"each": "succeeded", "each[0]": "succeeded", "each[1]": "succeeded", "each[2]": "succeeded", "flaky": "succeeded", "soft": "failed", "rescue": "succeeded",
	}
	for step, state := range states {
		if last[step] != state {
			t.Errorf("%s ended %q, want %q\n%s", step, last[step], state, r.stderr)
		}
	}
	if !strings.Contains(r.stderr, "(attempt 3)") {
		t.Errorf("the retries are not shown:\n%s", r.stderr)
	}
}

func TestStepStatesOnTheServer(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("ten", strings.ReplaceAll(tenNodes, "UP", unsteady(t).URL))
	run := s.run("ten", map[string]any{})
	got := map[string]string{}
	steps, _ := run.json["steps"].([]any)
	for _, step := range steps {
		m, _ := step.(map[string]any)
		key := text(m["node"])
		if m["index"] != nil {
			key += "#" + text(m["index"])
		}
		got[key] = text(m["status"])
	}
	want := map[string]string{
		"start": "succeeded", "left": "succeeded", "right": "succeeded", "join": "succeeded", "never": "skipped", "after_never": "skipped",
		"each": "succeeded", "each#0": "succeeded", "each#1": "succeeded", "each#2": "succeeded", "flaky": "succeeded", "soft": "failed", "rescue": "succeeded",
	}
	if diff := cmp.Diff(want, got); diff != "" || run.json["status"] != "succeeded" {
		t.Errorf("status %v, steps (-want +got):\n%s", run.json["status"], diff)
	}
}

func TestRunExitsOneWhenItFails(t *testing.T) {
	t.Parallel()
	file := writeWorkflow(t, `{"id": "bad", "nodes": {
		"down": {"type": "web_request", "with": {"url": "UP/down"}},
		"next": {"type": "transform", "needs": ["down"], "with": {"value": 1}}}}`, unsteady(t).URL)
	r := keyflow(t, nil, "run", file, "--egress-allow", "private")
	if r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "down: http_status: ") {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.code, r.stdout, r.stderr)
	}
}

func TestRunRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	good := writeWorkflow(t, `{"id": "good", "input": {"type": "object", "required": ["n"]}, "nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`, "")
	tests := map[string]struct {
		args []string
		env  []string
		code int
		want string
	}{
		"folder in use":         {[]string{"run", good, "--data-dir", s.dir}, nil, exitCannotStart, "is in use by another keyflow process (pid "},
		"input not JSON":        {[]string{"run", good, "--input", "{"}, nil, exitUsage, "--input is not valid JSON"},
		"input against schema":  {[]string{"run", good, "--input", "{}"}, nil, exitUsage, "n"},
		"no such file":          {[]string{"run", "./nope.json"}, nil, exitUsage, "no such file"},
		"no such workflow":      {[]string{"run", "nope"}, s.env(), exitFailed, "nope"},
		"egress is not allowed": {[]string{"run", writeWorkflow(t, `{"id": "x", "nodes": {"a": {"type": "web_request", "with": {"url": "http://`+closedAddress(t)+`"}}}}`, "")}, nil, exitFailed, "--egress-allow"},
		"secret as an argument": {[]string{"credentials", "create", "--id", "x", "--type", "basic_auth", "--field", "password=canary"}, s.env(), exitUsage, "password is a secret: it must not be an argument"},
		"no argument":           {[]string{"run"}, nil, exitUsage, "keyflow run needs exactly one FILE or workflow ID"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := keyflow(t, tt.env, tt.args...)
			if r.code != tt.code || !strings.Contains(r.stderr, tt.want) {
				t.Errorf("exit code %d, want %d with %q:\n%s", r.code, tt.code, tt.want, r.stderr)
			}
		})
	}
}
