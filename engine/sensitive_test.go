package engine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/attempt"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/nodes"
	"keyflow/workflows"
)

const newKey = "c4nary-new-key-51f0"

// box seals by saying where the text belongs; it opens nothing for another place.
type box struct{}

var _ values.Sealer = box{}

func (box) SealOutput(run, node string, index int, output []byte) ([]byte, error) {
	return fmt.Appendf(nil, "%s/%s/%d:%s", run, node, index, base64.StdEncoding.EncodeToString(output)), nil
}

func (box) OpenOutput(run, node string, index int, sealed []byte) ([]byte, error) {
	text, ok := bytes.CutPrefix(sealed, fmt.Appendf(nil, "%s/%s/%d:", run, node, index))
	if !ok {
		return nil, fmt.Errorf("sealed for another place than %s/%d", node, index)
	}
	return base64.StdEncoding.DecodeString(string(text))
}

// clerk remembers what it was asked to do with credentials.
type clerk struct {
	mu   sync.Mutex
	done []credentials.Action
	err  error
}

var _ attempt.Actor = (*clerk)(nil)

func (c *clerk) Act(_ context.Context, _ credentials.Use, a credentials.Action) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, a)
	return map[string]any{"version": len(c.done)}, c.err
}

// rotating is a world whose calls give a new key.
func rotating(t *testing.T) (*world, *clerk) {
	t.Helper()
	w, c := setup(t), &clerk{}
	w.stop()
	w.boot(engine.Options{Exclusive: true, Sealer: box{}, Actor: c})
	w.do = func(context.Context, nodes.Env, call) (any, error) {
		return map[string]any{"key": newKey, "id": "k-1"}, nil
	}
	return w, c
}

// all is everything that anybody can see of a run.
func (w *world) all(id runs.ID) string {
	w.Helper()
	run, steps, err := w.engine.Run(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	for i := range steps {
		steps[i].Sealed = nil // shown by nobody
	}
	text, err := json.Marshal(map[string]any{"run": run, "steps": steps})
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

func TestSensitiveOutput(t *testing.T) {
	t.Parallel()
	w, c := rotating(t)
	id := w.start(w.apply(`{"id": "rotate", "nodes": {
		"make": {"type": "call", "sensitive": true, "with": {"name": "make"}, "output": "{{ {'secret': this.key + '!', 'id': this.id} }}"},
		"put": {"type": "act", "needs": ["make"], "credential": "erp", "with": {"action": "rotate",
			"fields": {"value": "{{ nodes.make.output.secret }}", "key": "X-Key", "note": "{{ nodes.make.status }}"}}},
		"look": {"type": "call", "needs": ["make"], "with": {"name": "look", "arg": "{{ nodes.make.output }}"}, "output": "{{ nodes.make.output }}"}},
		"output": {"made": "{{ nodes.make.output }}", "status": "{{ nodes.make.status }}", "put": "{{ nodes.put.output }}"}}`), "")
	run, steps := w.wait(id)
	if run.Status != runs.Succeeded || string(run.Output) != `{"made":"***","put":{"version":1},"status":"succeeded"}` {
		t.Errorf("run %s %+v, output %s", run.Status, run.Error, run.Output)
	}
	if string(steps["make"].Output) != `"***"` || len(steps["make"].Sealed) == 0 || string(steps["look"].Output) != `"***"` || string(steps["look"].Sealed) != `{"at":[0]}` {
		t.Errorf("steps %+v", steps)
	}
	want := []credentials.Action{{Name: "rotate", Fields: map[string]any{"value": newKey + "!", "key": "X-Key", "note": "succeeded"}, Sealed: []string{"value"}}}
	if diff := cmp.Diff(want, c.done); diff != "" {
		t.Errorf("action (-want +got):\n%s", diff)
	}
	if text := w.all(id); strings.Contains(text, "c4nary") {
		t.Errorf("the new key is seen: %s", text)
	}
}

func TestSensitiveOutputSurvivesACrash(t *testing.T) {
	t.Parallel()
	w, c := rotating(t)
	usual, atWork := w.do, make(chan struct{}, 1)
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		if c.name == "pause" && c.n == 1 {
			atWork <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return usual(ctx, env, c)
	}
	id := w.start(w.apply(`{"id": "crash", "nodes": {
		"each": {"type": "call", "sensitive": true, "for_each": "1..2", "with": {"name": "each"}},
		"pause": {"type": "call", "needs": ["each"], "with": {"name": "pause"}},
		"put": {"type": "act", "needs": ["each", "pause"], "for_each": "1..2", "credential": "erp", "with": {"action": "rotate", "fields": {"value": "{{ nodes.each.output[index].key }}"}}}},
		"output": "{{ nodes.each.output }}"}`), "")
	<-atWork
	w.kill()
	w.boot(engine.Options{Exclusive: true, Sealer: box{}, Actor: c})
	run, _ := w.wait(id)
	if run.Status != runs.Succeeded || string(run.Output) != `["***","***"]` || w.count("each") != 2 {
		t.Errorf("run %s %+v, output %s, %d calls", run.Status, run.Error, run.Output, w.count("each"))
	}
	if len(c.done) != 2 || c.done[1].Fields["value"] != newKey {
		t.Errorf("actions %v", c.done)
	}
}

func TestSensitiveFailures(t *testing.T) {
	t.Parallel()
	answer := map[string]any{"status": 409, "headers": map[string]any{"x-key": newKey}, "body": newKey}
	tests := map[string]struct {
		node string
		err  error
		code string
	}{
		"answer":            {`"on_error": "continue"`, &nodes.Error{Code: nodes.CodeHTTPStatus, Message: "answered 409", Status: 409, Response: answer, Err: fmt.Errorf("quotes %s", newKey)}, nodes.CodeHTTPStatus},
		"answer of a retry": {`"on_error": "continue", "retry": {"max_attempts": 2, "initial": "1ms", "if": "error.response.body == '***' && error.response.status == 409"}`, &nodes.Error{Code: nodes.CodeHTTPStatus, Message: "answered 409", Status: 409, Response: answer}, nodes.CodeHTTPStatus},
		"output template":   {`"on_error": "continue", "output": "{{ int(this.key) }}"`, nil, nodes.CodeExpression},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := rotating(t)
			usual := w.do
			w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
				if c.name == "make" && tt.err != nil {
					return nil, tt.err
				}
				return usual(ctx, env, c)
			}
			id := w.start(w.apply(`{"id": "fails", "nodes": {"make": {"type": "call", "sensitive": true, "with": {"name": "make"}, `+tt.node+`},
				"look": {"type": "call", "needs": ["make"], "run_on": "always", "with": {"name": "look"}, "output": "{{ nodes.make.error }}"}},
				"output": "{{ nodes.look.output }}"}`), "")
			run, steps := w.wait(id)
			if steps["make"].Status != runs.StepFailed || steps["make"].Error.Code != tt.code {
				t.Errorf("step %+v, %+v", steps["make"], steps["make"].Error)
			}
			if name == "answer of a retry" && len(steps["make"].Attempts) != 2 {
				t.Errorf("%d attempts", len(steps["make"].Attempts))
			}
			if text := w.all(id); strings.Contains(text, "c4nary") || run.Status != runs.Succeeded {
				t.Errorf("run %s: the new key is seen, or the run failed: %s", run.Status, text)
			}
		})
	}
	t.Run("fields that cannot be computed", func(t *testing.T) {
		t.Parallel()
		w, c := rotating(t)
		id := w.start(w.apply(`{"id": "fields", "nodes": {"make": {"type": "call", "sensitive": true, "with": {"name": "make"}},
			"put": {"type": "act", "needs": ["make"], "credential": "erp", "with": {"action": "rotate", "fields": {"value": "{{ int(nodes.make.output.key) }}"}}}}}`), "")
		run, _ := w.wait(id)
		if run.Status != runs.Failed || run.Error.Code != nodes.CodeExpression || len(c.done) != 0 || strings.Contains(w.all(id), "c4nary") {
			t.Errorf("run %s %+v, actions %v", run.Status, run.Error, c.done)
		}
	})
}

func TestSensitiveIsChecked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	check := func(definition string) []string {
		t.Helper()
		d, problems := workflows.Parse([]byte(definition))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		problems, warnings := plan.NewChecker(w.types).Check(t.Context(), d)
		var lines []string
		for _, p := range append(problems, warnings...) {
			lines = append(lines, p.Path+" "+p.Code)
		}
		return lines
	}
	got := check(`{"id": "a", "nodes": {
		"make": {"type": "call", "sensitive": true, "with": {"name": "make", "when": "response.body.key == ''"}, "output": "{{ this.key }}"},
		"put": {"type": "act", "needs": ["make"], "if": "nodes.make.status == 'succeeded' && nodes.make.error == nil", "credential": "erp", "with": {"action": "rotate", "fields": {"value": "{{ nodes.make.output }}"}}},
		"each": {"type": "call", "needs": ["make"], "for_each": "nodes.make.output", "with": {"arg": {"x": "{{ nodes.make?.output.key }}"}}}},
		"output": "{{ nodes.make.status }}"}`)
	want := []string{"/nodes/each/for_each sensitive", "/nodes/each/with/arg/x sensitive"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("advice (-want +got):\n%s", diff)
	}
	got = check(`{"id": "a", "nodes": {"put": {"type": "act", "with": {"action": "rotate"}}}}`)
	if diff := cmp.Diff([]string{"/nodes/put required"}, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// registrar knows one credential, whose secret field is "value".
type registrar struct{}

func (registrar) Check(context.Context, credentials.ID, string, string) error        { return nil }
func (registrar) CheckInbound(context.Context, credentials.ID, string, string) error { return nil }
func (registrar) CheckAct(context.Context, credentials.ID, string, string) ([]string, error) {
	return []string{"value"}, nil
}

func TestLiteralSecretsAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fields string
		want   []string
	}{
		"literal":                    {`{"value": "topsecret", "key": "X-Key"}`, []string{"/nodes/put/with/fields/value literal_secret"}},
		"template over the input":    {`{"value": "{{ input.value }}"}`, []string{"/nodes/put/with/fields/value literal_secret"}},
		"output of an ordinary node": {`{"value": "{{ nodes.plain.output }}"}`, []string{"/nodes/put/with/fields/value literal_secret"}},
		"status of a sensitive node": {`{"value": "{{ nodes.make.status }}"}`, []string{"/nodes/put/with/fields/value literal_secret"}},
		"one of a map":               {`{"value": {"a": "{{ nodes.make.output.a }}", "b": "literal"}}`, []string{"/nodes/put/with/fields/value literal_secret"}},
		"output of a sensitive node": {`{"value": "Token {{ nodes.make.output.key }}", "key": "X-Key"}`, nil},
		"a map of them":              {`{"value": {"a": "{{ nodes.make.output.a }}"}}`, nil},
		"cleared":                    {`{"value": null}`, nil},
		"all fields":                 {`"{{ nodes.make.output }}"`, nil},
		"all fields from elsewhere":  {`"{{ input }}"`, []string{"/nodes/put/with/fields literal_secret"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, problems := workflows.Parse([]byte(`{"id": "a", "nodes": {"make": {"type": "x", "sensitive": true}, "plain": {"type": "x"},
				"put": {"type": "credential", "needs": ["make", "plain"], "credential": "erp", "with": {"action": "rotate", "fields": ` + tt.fields + `}}}}`))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			problems, _ = plan.NewCredentialChecker(registrar{}).Check(t.Context(), d)
			var got []string
			for _, p := range problems {
				got = append(got, p.Path+" "+p.Code)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
