package plan_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/plan"
	"keyflow/nodes"
	"keyflow/workflows"
)

// never is a node that no test runs.
type never struct{}

func (never) Run(context.Context, nodes.Env, nodes.Input) (nodes.Result, error) { return nil, nil }

// compileTypes has one type with a parameter of every kind.
func compileTypes() *nodes.Registry {
	one, ten := 1, 10
	newNode := func() nodes.Node { return never{} }
	return nodes.NewRegistry(
		nodes.Type{Name: "call", Credential: true, New: newNode, Params: []nodes.Param{
			{Name: "url", Kind: nodes.String, Required: true},
			{Name: "count", Kind: nodes.Integer, Minimum: &one, Maximum: &ten},
			{Name: "mode", Kind: nodes.String, Enum: []string{"fast", "slow"}},
			{Name: "deep", Kind: nodes.Boolean},
			{Name: "headers", Kind: nodes.Object},
			{Name: "list", Kind: nodes.List},
			{Name: "for", Kind: nodes.Duration},
			{Name: "body", Kind: nodes.Any},
			{Name: "fail_if", Kind: nodes.Expression, Scope: []string{"response"}},
		}},
		nodes.Type{Name: "plain", New: newNode},
		nodes.Type{Name: "wait", New: newNode, Params: []nodes.Param{{Name: "for", Kind: nodes.Duration}, {Name: "callback", Kind: nodes.Boolean},
			{Name: "methods", Kind: nodes.List, Literal: true, Enum: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}}},
			Check: func(given func(string) bool) string {
				if !given("for") && !given("callback") {
					return "say what to wait for"
				}
				return ""
			}},
		nodes.Type{Name: "known", New: newNode, Output: []string{"status", "body"}},
		nodes.Type{Name: "pages", New: newNode, Params: []nodes.Param{{Name: "paginate", Kind: nodes.Object, Fields: []nodes.Param{
			{Name: "next", Kind: nodes.Expression, Required: true, Scope: []string{"response"}}, {Name: "max", Kind: nodes.Integer, Minimum: &one},
		}}}},
		nodes.Type{Name: "reads", New: newNode, Params: []nodes.Param{{Name: "response", Kind: nodes.String, Enum: []string{"auto", "json"}, Fields: []nodes.Param{
			{Name: "type", Kind: nodes.String, Enum: []string{"auto", "json"}}, {Name: "charset", Kind: nodes.String},
		}}}},
	)
}

func TestCompileProblems(t *testing.T) {
	t.Parallel()
	// Each case is the value of "nodes"; problems are "pointer code message", caret lines left out.
	tests := map[string]struct {
		nodes string
		want  []string
	}{
		"right": {nodes: `{"a": {"type": "call", "with": {"url": "x", "count": 3, "mode": "slow", "deep": true, "headers": {"A": "{{ input.a }}"},
			"list": [1], "for": "3s", "body": null, "fail_if": "response.status == 3"}, "output": "{{ this.a }}"}}`},
		"unknown type": {
			nodes: `{"a": {"type": "cal"}}`,
			want:  []string{`/nodes/a/type unknown_type unknown node type "cal" (did you mean "call"?)`},
		},
		"fields of a parameter": {nodes: `{"a": {"type": "pages", "with": {"paginate": {"next": "response.body.next", "max": "{{ input.n }}"}}}}`},
		"wrong fields of a parameter": {
			nodes: `{"a": {"type": "pages", "with": {"paginate": {"nxt": "response.body.next", "max": 0}}}}`,
			want: []string{
				`/nodes/a/with/paginate required paginate needs the field "next"`,
				`/nodes/a/with/paginate/max invalid_value must be at least 1`,
				`/nodes/a/with/paginate/nxt unknown_param paginate has no field "nxt" (did you mean "next"?)`,
			},
		},
		"text or an object": {nodes: `{"a": {"type": "reads", "with": {"response": "{{ input.how }}"}}, "b": {"type": "reads", "with": {"response": {"type": "json", "charset": "{{ input.cs }}"}}}}`},
		"neither text nor an object": {
			nodes: `{"a": {"type": "reads", "with": {"response": 1}}, "b": {"type": "reads", "with": {"response": {"charst": "x", "type": "xml"}}}, "c": {"type": "reads", "with": {"response": "xml"}}}`,
			want: []string{
				`/nodes/a/with/response wrong_type must be text, not a number`,
				`/nodes/b/with/response/charst unknown_param response has no field "charst" (did you mean "charset"?)`,
				`/nodes/b/with/response/type invalid_value must be one of auto, json`,
				`/nodes/c/with/response invalid_value must be one of auto, json`,
			},
		},
		"a parameter with fields that is none": {
			nodes: `{"a": {"type": "pages", "with": {"paginate": "response.body.next"}}}`,
			want:  []string{`/nodes/a/with/paginate wrong_type must be an object, not text`},
		},
		"missing and unknown parameter": {
			nodes: `{"a": {"type": "call", "with": {"ulr": "x"}}}`,
			want: []string{
				`/nodes/a/with required call needs the parameter "url"`,
				`/nodes/a/with/ulr unknown_param call has no parameter "ulr" (did you mean "url"?)`,
			},
		},
		"wrong kinds": {
			nodes: `{"a": {"type": "call", "with": {"url": 1, "count": "3", "mode": "quick", "deep": "yes", "headers": [], "list": {"a": "{{ 1 }}"}, "for": "soon", "fail_if": true}}}`,
			want: []string{
				`/nodes/a/with/count wrong_type must be an integer, not text`,
				`/nodes/a/with/deep wrong_type must be a boolean, not text`,
				`/nodes/a/with/fail_if wrong_type must be an expression (text), not a boolean`,
				`/nodes/a/with/for invalid_value "soon" is not a duration; write a number and a unit, for example "30s", "5m", "1h30m" or "2d"`,
				`/nodes/a/with/headers wrong_type must be an object, not a list`,
				`/nodes/a/with/list wrong_type must be a list, not an object`,
				`/nodes/a/with/mode invalid_value must be one of fast, slow`,
				`/nodes/a/with/url wrong_type must be text, not a number`,
			},
		},
		"out of range": {
			nodes: `{"a": {"type": "call", "with": {"url": "x", "count": 11}}, "b": {"type": "call", "with": {"url": "x", "count": 0}}}`,
			want: []string{
				`/nodes/a/with/count invalid_value must be at most 10`,
				`/nodes/b/with/count invalid_value must be at least 1`,
			},
		},
		"required null": {
			nodes: `{"a": {"type": "call", "with": {"url": null, "count": null}}}`,
			want:  []string{`/nodes/a/with/url wrong_type must be text, not null`},
		},
		"expressions that do not compile": {
			nodes: `{"a": {"type": "call", "if": "1 +", "for_each": "inputs", "credential": "p-{{ item. }}", "with": {"url": "{{ input.a", "headers": {"X/Y": "{{ nope }}"}},
				"retry": {"if": "eror.code == 1"}, "output": "{{ this + }}"}}`,
			want: []string{
				`/nodes/a/if expression unexpected end of the expression`,
				`/nodes/a/for_each expression unknown name "inputs" (did you mean "input"?)`,
				`/nodes/a/credential expression unexpected end of expression`,
				`/nodes/a/with/headers/X~1Y expression unknown name "nope"`,
				`/nodes/a/with/url expression "{{" is never closed (a literal "{{" is written \{{)`,
				`/nodes/a/output expression unexpected end of the expression`,
				`/nodes/a/retry/if expression unknown name "eror" (did you mean "error"?)`,
			},
		},
		"names have their place": {
			nodes: `{"a": {"type": "call", "if": "this", "with": {"url": "{{ item }}", "fail_if": "response.status == this"}, "output": "{{ error }}"}}`,
			want: []string{
				`/nodes/a/if expression unknown name "this"`,
				`/nodes/a/with/fail_if expression unknown name "this"`,
				`/nodes/a/with/url expression unknown name "item"`,
				`/nodes/a/output expression unknown name "error"`,
			},
		},
		"nodes that are no ancestors": {
			nodes: `{"a": {"type": "plain"}, "b": {"type": "plain", "needs": ["a"]}, "c": {"type": "plain"},
				"d": {"type": "plain", "needs": ["b"], "if": "nodes.a.output && nodes.b.output && nodes.c.output && nodes.d.output && nodes.bb.output"}}`,
			want: []string{
				`/nodes/d/if unknown_node nodes.bb: unknown node "bb" (did you mean "b"?)`,
				`/nodes/d/if not_ancestor nodes.c is read, but "c" may not have ended by then: add it to the needs`,
				`/nodes/d/if not_ancestor nodes.d: a node cannot read itself`,
			},
		},
		"members that are not there": {
			nodes: `{"a": {"type": "known", "if": "run.idd == run.previous", "for_each": "trigger.requests", "output": "{{ this.bdy }}"},
				"b": {"type": "call", "needs": ["a"], "with": {"url": "{{ vars.host }}", "fail_if": "response.code == 1"}, "retry": {"max_attempts": 2, "if": "error.status == 1"}},
				"c": {"type": "plain", "needs": ["b"], "if": "nodes.b.err.code == 1 || nodes.a.output.x == 1"},
				"d": {"type": "known", "if": "trigger.request.qury == 1 || nodes.d.response"},
				"e": {"type": "known", "needs": ["d"], "if": "nodes.d.output.stats == 1", "output": {"kept": "{{ this }}"}},
				"f": {"type": "plain", "needs": ["e"], "if": "nodes.e.output.kept.body == 1 && nodes.e.output.body == 1"},
				"g": {"type": "plain", "needs": ["e"], "if": "nodes.e.error.respons.status == 1"}}`,
			want: []string{
				`/nodes/a/if expression run has no member "idd" (did you mean run.id?)`,
				`/nodes/a/for_each expression trigger has no member "requests" (did you mean trigger.request?)`,
				`/nodes/a/output expression this has no member "bdy" (did you mean this.body?)`,
				`/nodes/b/with/fail_if expression response has no member "code" (it has body, headers, status)`,
				`/nodes/b/with/url expression vars has no member "host"`,
				`/nodes/b/retry/if expression error has no member "status" (it has attempt, code, message, response)`,
				`/nodes/c/if expression nodes.b has no member "err" (it has error, output, status)`,
				`/nodes/d/if expression trigger.request has no member "qury" (did you mean trigger.request.query?)`,
				`/nodes/e/if expression nodes.d.output has no member "stats" (did you mean nodes.d.output.status?)`,
				`/nodes/f/if expression nodes.e.output has no member "body" (it has kept)`,
				`/nodes/g/if expression nodes.e.error has no member "respons" (did you mean nodes.e.error.response?)`,
			},
		},
		"a wait for nothing": {
			nodes: `{"a": {"type": "wait", "with": {"callback": false}}, "b": {"type": "wait", "with": {"callback": false, "for": "1s"}},
				"c": {"type": "wait", "with": {"callback": "{{ input.x }}"}}, "d": {"type": "wait", "with": {"callback": null}}}`,
			want: []string{`/nodes/a/with invalid_value say what to wait for`, `/nodes/d/with invalid_value say what to wait for`},
		},
		"methods of a callback": {
			nodes: `{"a": {"type": "wait", "with": {"callback": true, "methods": ["GET", "HEAD"]}}, "b": {"type": "wait", "with": {"callback": true, "methods": []}},
				"c": {"type": "wait", "with": {"callback": true, "methods": ["{{ input.x }}"]}}, "d": {"type": "wait", "with": {"for": "1s", "methods": ["GET"]}},
				"e": {"type": "wait", "with": {"callback": true, "methods": "POST"}}, "f": {"type": "wait", "with": {"callback": true, "methods": ["GET", "POST"]}}}`,
			want: []string{
				`/nodes/a/with/methods invalid_value each element must be one of GET, POST, PUT, PATCH, DELETE`,
				`/nodes/b/with/methods invalid_value must not be empty`,
				`/nodes/c/with/methods invalid_value must be known when the workflow is applied: write it without a template`,
				`/nodes/e/with/methods wrong_type must be a list, not text`,
			},
		},
		"callback_url of a node that does not wait": {
			nodes: `{"back": {"type": "wait", "with": {"callback": true}}, "never": {"type": "wait", "with": {"callback": false, "for": "1s"}},
				"a": {"type": "call", "with": {"url": "{{ callback_url('back') }}{{ callback_url(input.x) }}{{ 'back' | callback_url() }}"}},
				"b": {"type": "call", "with": {"url": "{{ callback_url('backk') }}"}}, "c": {"type": "call", "with": {"url": "{{ callback_url('never') }}"}},
				"d": {"type": "call", "with": {"url": "x"}, "if": "callback_url('d') == ''"}, "e": {"type": "call", "with": {"url": "{{ 'e' | callback_url() }}"}}}`,
			want: []string{
				`/nodes/b/with/url expression callback_url: the workflow has no node "backk" that waits for a callback (did you mean "back"?)`,
				`/nodes/c/with/url expression callback_url: the workflow has no node "never" that waits for a callback`,
				`/nodes/d/if expression callback_url: the workflow has no node "d" that waits for a callback`,
				`/nodes/e/with/url expression callback_url: the workflow has no node "e" that waits for a callback`,
			},
		},
		"callback_url without a node that waits": {
			nodes: `{"a": {"type": "call", "with": {"url": "{{ callback_url('a') }}"}}}`,
			want:  []string{`/nodes/a/with/url expression callback_url is not available here: only nodes can call it, when a wait node of the workflow has "callback": true`},
		},
		"credential of a type without": {
			nodes: `{"a": {"type": "plain", "credential": "x"}}`,
			want:  []string{`/nodes/a/credential no_credential a node of type plain uses no credential`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, problems := workflows.Parse([]byte(`{"id": "x", "nodes": ` + tt.nodes + `}`))
			if len(problems) > 0 {
				t.Fatalf("structure: %v", problems)
			}
			plan, problems := plan.Compile(d, compileTypes())
			var got []string
			for _, p := range problems {
				message, _, _ := strings.Cut(p.Message, "\n")
				message, _, _ = strings.Cut(message, " (available here")
				got = append(got, fmt.Sprint(p.Path, " ", p.Code, " ", message))
				if p.Line == 0 {
					t.Errorf("%s has no line", p.Path)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if (plan == nil) != (len(tt.want) > 0) {
				t.Errorf("plan %v with %d problems", plan != nil, len(tt.want))
			}
		})
	}
}

// TestCompileOutput reads nodes from the workflow's own output, where all may be read.
func TestCompileOutput(t *testing.T) {
	t.Parallel()
	d, _ := workflows.Parse([]byte(`{"id": "x", "nodes": {"a": {"type": "plain"}}, "output": {"a": "{{ nodes.a.output }}", "b": ["{{ nodes.b }}"]}}`))
	problems, warnings := plan.NewChecker(compileTypes()).Check(context.Background(), d)
	if len(problems) != 1 || problems[0].Path != "/output/b/0" || len(warnings) != 0 {
		t.Errorf("problems %v, warnings %v", problems, warnings)
	}
}

// TestCompileCallbackOutsideOfNodes refuses callback_url where no node runs.
func TestCompileCallbackOutsideOfNodes(t *testing.T) {
	t.Parallel()
	d, _ := workflows.Parse([]byte(`{"id": "x", "nodes": {"a": {"type": "wait", "with": {"callback": true}}},
		"concurrency": {"limit": 1, "key": "{{ callback_url('a') }}"}, "output": "{{ callback_url('a') }}"}`))
	_, problems := plan.Compile(d, compileTypes())
	if len(problems) != 2 || problems[0].Path != "/output" || problems[1].Path != "/concurrency/key" {
		t.Errorf("problems %v", problems)
	}
}

// TestCompileLarge keeps the largest definition there may be cheap: a chain of 1,000 nodes.
func TestCompileLarge(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"id": "x", "nodes": {"n0": {"type": "plain"}`)
	for i := 1; i < workflows.MaxNodes; i++ {
		fmt.Fprintf(&b, `, "n%d": {"type": "plain", "needs": ["n%d"], "if": "nodes.n0.status == 'succeeded'"}`, i, i-1)
	}
	b.WriteString(`}}`)
	d, problems := workflows.Parse([]byte(b.String()))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	if _, problems := plan.Compile(d, compileTypes()); len(problems) > 0 {
		t.Fatal(problems[0])
	}
}
