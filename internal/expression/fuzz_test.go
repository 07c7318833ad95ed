package expression_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
)

// FuzzTemplate: whatever the text, compiling and evaluating it ends within the limits, in
// plain data or in an *Error that points into the text; nothing panics.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		`{{ reduce(1..40, #acc + #acc, "xxxxxxxxxx") }}`, `{{ all(1..60, all(1..60, all(1..60, # > 0))) }}`,
		`{{ map(1..3000, split(input.braces, "}")) }}`, `{{ 1 < (1 < (1 < 1) < 1) < 1 }}`, `{{ [[1],["a"]][1][0] + 1 }}`,
		`{{ input.name }}`, `\{{ {{ "}}" }}`, "a{{`", `{{ {a: 1} }} {{ [1,2][0] }}`, `{{ 1 < 2 < 3 }}`,
		`{{ map(input.ids, {let x = #; x + 1}) | join("") }}`, `{{ nodes.a?.b ?? nodes["c"] }}`,
		`{{ findLast(1..3, # < 3) ? sortBy([2,1], #)[0] : groupBy([1], #) }}`, `{{ if true {1} else {2} }}`,
		`{{ "a" not matches "b" }}`, `{{ input?.[input.name] }}`, `{{ 'x' | upper() | len() }}`,
	} {
		f.Add(s)
	}
	base := env(f)
	f.Fuzz(func(t *testing.T, source string) {
		took, heap, err := measured(func() error { return evalTemplate(t, source, base) })
		if took > timeLimit || heap > memoryLimit {
			t.Errorf("took %s and %d MiB", took, heap>>20)
		}
		if err == nil {
			return
		}
		failed, ok := errors.AsType[*expression.Error](err)
		if !ok || failed.Message == "" || failed.Offset < -1 || failed.Offset > len(source) {
			t.Errorf("error is %#v", err)
		}
		if utf8.ValidString(source) && !utf8.ValidString(failed.Error()) {
			t.Errorf("the message cuts a letter: %q", failed.Error())
		}
	})
}

func evalTemplate(t *testing.T, source string, env expression.Env) error {
	t.Helper()
	v, errs := expression.CompileValue(source, scope())
	if len(errs) > 0 {
		return errs[0]
	}
	got, err := v.Eval(t.Context(), env)
	if err != nil {
		return err
	}
	if _, err := jsonvalue.Encode(got); err != nil {
		t.Errorf("%#v is not plain data: %v", got, err)
	}
	return nil
}
