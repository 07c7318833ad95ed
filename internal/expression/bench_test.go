package expression_test

import (
	"testing"

	"github.com/expr-lang/expr"

	"keyflow/internal/expression"
)

var benchmarks = map[string]string{
	"member":   `input.name`,
	"compare":  `input.ids[0] == 1 and input.name != nodes.leads.status`,
	"concat":   `input.name + "/" + vars.base`,
	"map_join": `join(map(input.ids, string(#)), ",")`,
	"loop1000": `sum(map(1..1000, # * 2))`,
}

func BenchmarkEval(b *testing.B) {
	for name, source := range benchmarks {
		b.Run(name, func(b *testing.B) {
			e, err := expression.Compile(source, scope())
			if err != nil {
				b.Fatal(err)
			}
			ctx, in := b.Context(), env(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Eval(ctx, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkExpr is the same by expr alone, without limits.
func BenchmarkExpr(b *testing.B) {
	for name, source := range benchmarks {
		b.Run(name, func(b *testing.B) {
			in := env(b).Vars
			code, err := expr.Compile(source, expr.Env(map[string]any{}), expr.AllowUndefinedVariables())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := expr.Run(code, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTemplate(b *testing.B) {
	v, errs := expression.CompileValue(map[string]any{
		"url":  "{{ vars.base }}/v1/{{ input.name }}",
		"body": map[string]any{"ids": "{{ input.ids }}", "kind": "literal"},
	}, scope())
	if errs != nil {
		b.Fatal(errs[0])
	}
	ctx, in := b.Context(), env(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Eval(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := expression.Compile(`join(map(input.ids, string(#)), ",")`, scope()); err != nil {
			b.Fatal(err)
		}
	}
}
