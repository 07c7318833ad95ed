package expression_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/expression"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		source string
		want   any
	}{
		"whole template keeps its type":  {`{{ input.ids }}`, []any{1, 2, 3}},
		"whole template may be null":     {`{{ input.missing }}`, nil},
		"whole number":                   {`{{input.ids[0]}}`, 1},
		"space outside makes it text":    {` {{ input.ids[0] }}`, " 1"},
		"joined text":                    {`{{ vars.base }}/v1/{{ input.name }}?n={{ input.ids[1] }}`, "https://example.com/v1/Ada?n=2"},
		"boolean and fraction as text":   {`{{ input.flag }} {{ input.half }}`, "true 0.5"},
		"objects as JSON":                {`x={{ {"b": input.ids, "a": "<>"} }}`, `x={"a":"<>","b":[1,2,3]}`},
		"range as JSON":                  {`{{ 1..2 }}!`, `[1,2]!`},
		"default in text":                {`a{{ input.missing ?? "-" }}b`, "a-b"},
		"braces in a text":               {`{{ "}}" + '{{' }}`, "}}{{"},
		"braces in a raw text":           {"{{ `}}\"` }}", `}}"`},
		"escaped quote in a text":        {`{{ "\"}}" }}`, `"}}`},
		"braces of a map":                {`{{ {"a": {"b": {}}}}}`, map[string]any{"a": map[string]any{"b": map[string]any{}}}},
		"map right after the braces":     {`{{{a: 1}.a}}`, 1},
		"body of a loop":                 {`{{ map(input.ids, {let x = #; {"v": x}})[0] }}`, map[string]any{"v": 1}},
		"braces in a comment":            {`{{ 1 /* }} */ }}`, 1},
		"line comment":                   {"{{ 1 // }}\n }}", 1},
		"two in a row":                   {`{{ 1 }}{{ 2 }}`, "12"},
		"literal braces":                 {`\{{ input.name }}`, "{{ input.name }}"},
		"literal braces beside template": {`\{{ {{ 1 }} }}`, "{{ 1 }}"},
		"other backslashes stay":         {`\n\\ {{ 1 }}`, `\n\\ 1`},
		"closing braces alone":           {`a }} b`, `a }} b`},
		"single braces":                  {`{a} {{ 1 }}`, `{a} 1`},
		"data is no template":            {`{{ input.braces }}`, "}} {{"},
		"over two lines":                 {"{{ input.ids[0]\n  + 1 }}", 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, errs := expression.CompileValue(tt.source, scope())
			if errs != nil {
				t.Fatal(errs[0])
			}
			got, err := v.Eval(t.Context(), env(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		source, want string
		offset       int
	}{
		"never closed":        {`a {{ input.name`, "\"{{\" is never closed (a literal \"{{\" is written \\{{)\n  a {{ input.name\n    ^", 2},
		"closed in a text":    {`{{ "}}`, "\"{{\" is never closed (a literal \"{{\" is written \\{{)\n  {{ \"}}\n  ^", 0},
		"empty":               {`ab{{  }}`, "\"{{ }}\" holds no expression\n  ab{{  }}\n    ^", 2},
		"unknown name":        {`한 {{ 1 + nope }}`, "unknown name \"nope\" (available here: input, nodes, vars, item)\n  한 {{ 1 + nope }}\n           ^", 11},
		"null among text":     {`a {{ input.missing }}`, "input.missing is null, which cannot be part of a text (give a default with ??)\n  a {{ input.missing }}\n       ^", 5},
		"null of an optional": {`{{ 1 }}{{ nodes.skipped.output?.x }}`, "nodes.skipped.output?.x is null, which cannot be part of a text (give a default with ??)\n  {{ 1 }}{{ nodes.skipped.output?.x }}\n            ^", 10},
		"member of null":      {`{{ 1 }} {{ input.missing.x }}`, "cannot read \"x\" of null (use ?. where it may be null)\n  {{ 1 }} {{ input.missing.x }}\n                           ^", 25},
		"second line":         {"{{ 1 }}\n{{ nope }}", "unknown name \"nope\" (available here: input, nodes, vars, item)\n  {{ nope }}\n     ^", 11},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, errs := expression.CompileValue(tt.source, scope())
			var err error
			if len(errs) > 0 {
				err = errs[0]
			} else {
				_, err = v.Eval(t.Context(), env(t))
			}
			failed, ok := errors.AsType[*expression.Error](err)
			if !ok {
				t.Fatalf("error is %v, want an *Error", err)
			}
			if diff := cmp.Diff(tt.want, failed.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if failed.Offset != tt.offset || failed.Source != tt.source {
				t.Errorf("offset %d in %q, want %d", failed.Offset, failed.Source, tt.offset)
			}
		})
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	source := map[string]any{
		"url":  "{{ vars.base }}/{{ nodes.leads.status }}",
		"list": []any{1, "{{ input.ids[0] + 1 }}", map[string]any{"{{ key }}": "{{ nodes.x?.output }}"}},
		"same": map[string]any{"a": []any{"b"}},
		"raw":  []any{`\{{ no }}`},
	}
	v, errs := expression.CompileValue(source, scope())
	if errs != nil {
		t.Fatal(errs[0])
	}
	if _, ok := v.Literal(); ok {
		t.Error("a value with templates is no literal")
	}
	if diff := cmp.Diff([]string{"leads", "x"}, v.Nodes()); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{
		"url":  "https://example.com/succeeded",
		"list": []any{1, 2, map[string]any{"{{ key }}": nil}},
		"same": map[string]any{"a": []any{"b"}},
		"raw":  []any{"{{ no }}"},
	}
	for range 2 { // the second time on a used machine
		got, err := v.Eval(t.Context(), env(t))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestValueErrorsHavePaths(t *testing.T) {
	t.Parallel()
	_, errs := expression.CompileValue(map[string]any{
		"a/b~": []any{"fine", "{{ nope }}"},
		"c":    "{{ 1 + }} and {{ other }}",
		"d":    "{{",
	}, scope())
	var got []string
	for _, e := range errs {
		got = append(got, e.Path+" "+e.Message)
	}
	want := []string{
		`/a~1b~0/1 unknown name "nope" (available here: input, nodes, vars, item)`,
		`/c unexpected end of the expression`,
		`/c unknown name "other" (available here: input, nodes, vars, item)`,
		`/d "{{" is never closed (a literal "{{" is written \{{)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	v, errs := expression.CompileValue([]any{0, map[string]any{"x": "{{ input.ids.a }}"}}, scope())
	if errs != nil {
		t.Fatal(errs[0])
	}
	_, err := v.Eval(t.Context(), env(t))
	if failed, ok := errors.AsType[*expression.Error](err); !ok || failed.Path != "/1/x" {
		t.Errorf("error is %#v, want one at /1/x", err)
	}
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want any }{
		"null":            {nil, nil},
		"text":            {"a }} b", "a }} b"},
		"escaped":         {`\{{ a }}`, "{{ a }}"},
		"list":            {[]any{1, "x"}, []any{1, "x"}},
		"escaped in list": {[]any{1, `\{{`}, []any{1, "{{"}},
		"escaped deeper":  {map[string]any{"a": []any{`\{{`}, "b": 1}, map[string]any{"a": []any{"{{"}, "b": 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, errs := expression.CompileValue(tt.source, scope())
			if errs != nil {
				t.Fatal(errs[0])
			}
			got, ok := v.Literal()
			if diff := cmp.Diff(tt.want, got); diff != "" || !ok {
				t.Errorf("literal %v\n%s", ok, diff)
			}
			got, err := v.Eval(t.Context(), expression.Env{})
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestLiteralsCostNothing(t *testing.T) {
	v, errs := expression.CompileValue(map[string]any{"a": []any{"b", 1}}, scope())
	if errs != nil {
		t.Fatal(errs[0])
	}
	ctx, e := t.Context(), env(t)
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Eval(ctx, e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
