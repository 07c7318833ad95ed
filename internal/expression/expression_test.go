package expression_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
)

const data = `{
	"input": {"ids": [1, 2, 3], "name": "Ada", "half": 0.5, "flag": true, "nothing": null,
		"people": [{"name": "b", "age": 2}, {"name": "a", "age": 1.5}],
		"braces": "}} {{", "big": 9007199254740993, "a/b~c": 7},
	"nodes": {"leads": {"status": "succeeded", "output": [1, 2]}, "skipped": {"output": null}},
	"vars": {"base": "https://example.com"}
}`

func scope() expression.Scope {
	return expression.Scope{Names: []string{"input", "nodes", "vars", "item"}}
}

func env(tb testing.TB) expression.Env {
	tb.Helper()
	v, err := jsonvalue.Decode([]byte(data))
	if err != nil {
		tb.Fatal(err)
	}
	return expression.Env{
		Vars: v.(map[string]any),
		Now:  func() time.Time { return time.Date(2025, 1, 2, 3, 4, 5, 6, time.FixedZone("", 9*3600)) },
		UUID: func() string { return "0190f3a4-0000-7000-8000-000000000001" },
	}
}

func eval(t *testing.T, source string) (any, error) {
	t.Helper()
	e, err := expression.Compile(source, scope())
	if err != nil {
		return nil, err
	}
	return e.Eval(t.Context(), env(t))
}

func TestEval(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		source string
		want   any
	}{
		"member":                        {`input.name`, "Ada"},
		"null":                          {`null`, nil},
		"nil":                           {`nil`, nil},
		"equal to null":                 {`[input.nothing == null, input.name != null, null == nil, null ?? 1]`, []any{true, true, true, 1}},
		"null in data":                  {`map([null, 2], # == null ? {"null": null} : input?.null)`, []any{map[string]any{"null": nil}, nil}},
		"index by text":                 {`input["a/b~c"]`, 7},
		"dynamic index":                 {`input.ids[input.ids[0]]`, 2},
		"last index":                    {`input.ids[-1]`, 3},
		"exact integer":                 {`input.big`, 9007199254740993},
		"missing key is null":           {`input.missing`, nil},
		"root without data is null":     {`item`, nil},
		"optional member of null":       {`nodes.skipped.output?.x`, nil},
		"optional member of no node":    {`nodes.nobody?.output?.x`, nil},
		"default":                       {`input.missing ?? "none"`, "none"},
		"arithmetic":                    {`1 + 2 * 3 - 4 % 3`, 6},
		"whole quotient is int":         {`10 / 2`, 5},
		"quotient":                      {`1 / 4`, json.Number("0.25")},
		"power":                         {`2 ** 10`, 1024},
		"text":                          {`input.name + "!"`, "Ada!"},
		"chained comparison":            {`1 < input.ids[1] < 3`, true},
		"equal":                         {`input.ids == [1, 2.0, 3]`, true},
		"equal objects":                 {`{a: [1]} == {"a": [1.0]}`, true},
		"different objects":             {`{a: 1} != {b: 1}`, true},
		"range equals list":             {`1..3 == input.ids`, true},
		"range":                         {`2..4`, []any{2, 3, 4}},
		"empty range":                   {`4..2`, []any{}},
		"ternary":                       {`input.flag ? 1 : 2`, 1},
		"if":                            {`if input.flag { "y" } else { "n" }`, "y"},
		"let":                           {`let a = input.ids; let b = 2; a[0] + b`, 3},
		"object":                        {`{"a": 1, b: [true, nil]}`, map[string]any{"a": 1, "b": []any{true, nil}}},
		"slice":                         {`input.ids[1:]`, []any{2, 3}},
		"byte of a text is a number":    {`input.name[0]`, 65},
		"in list":                       {`2 in input.ids`, true},
		"in object":                     {`"name" in input`, true},
		"in null":                       {`2 in input.missing`, false},
		"not in":                        {`9 not in input.ids`, true},
		"contains":                      {`input.name contains "d"`, true},
		"contains of null":              {`input.missing contains "d"`, false},
		"startsWith, endsWith":          {`input.name startsWith "A" and input.name endsWith "a"`, true},
		"matches":                       {`input.name matches "^A.a$"`, true},
		"matches a computed pattern":    {`input.name matches "^" + "A"`, true},
		"not matches null":              {`input.missing matches "x"`, false},
		"map":                           {`map(input.ids, # * 2)`, []any{2, 4, 6}},
		"map of members":                {`map(input.people, .name)`, []any{"b", "a"}},
		"pipe":                          {`input.ids | filter(# > 1) | map(string(#)) | join("-")`, "2-3"},
		"all any none one":              {`[all(input.ids, # > 0), any(input.ids, # > 2), none(input.ids, # > 3), one(input.ids, # > 2)]`, []any{true, true, true, true}},
		"find":                          {`[find(input.ids, # > 1), findIndex(input.ids, # > 1), findLast(input.ids, # < 3), findLastIndex(input.ids, # < 3), findLastIndex(input.ids, # > 3)]`, []any{2, 1, 2, 1, nil}},
		"count":                         {`[count(input.ids, # > 1), count([true, false])]`, []any{2, 1}},
		"sum":                           {`[sum(input.ids), sum(input.people, .age)]`, []any{6, json.Number("3.5")}},
		"reduce":                        {`reduce(input.ids, #acc + # * #index, 10)`, 18},
		"reduce without start":          {`reduce(input.ids, #acc * #)`, 6},
		"groupBy":                       {`groupBy(input.ids, # % 2 == 0 ? "even" : "odd")`, map[string]any{"even": []any{2}, "odd": []any{1, 3}}},
		"groupBy numbers":               {`groupBy(input.ids, # % 2)["0"]`, []any{2}},
		"sortBy":                        {`map(sortBy(input.people, .age), .name)`, []any{"a", "b"}},
		"sortBy descending":             {`map(sortBy(input.people, .name, "desc"), .name)`, []any{"b", "a"}},
		"nested sortBy":                 {`sortBy(map(input.people, sortBy([3, #.age], #)), #[0])`, []any{[]any{json.Number("1.5"), 3}, []any{2, 3}}},
		"sort":                          {`sort(["b", "a"]) == sort(["a", "b"], "asc") and sort(1..3, "desc") == [3, 2, 1]`, true},
		"loop over variable":            {`map(input.ids, {let x = #; map(input.ids, x * #)})[2]`, []any{3, 6, 9}},
		"len counts runes":              {`[len("한글"), len(input.ids), len(input.people[0])]`, []any{2, 3, 2}},
		"keys are sorted":               {`keys({b: 1, c: 2, a: 3})`, []any{"a", "b", "c"}},
		"values in order of keys":       {`values({b: 1, c: 2, a: 3})`, []any{3, 1, 2}},
		"pairs":                         {`fromPairs(toPairs({b: 1, a: [2]}))`, map[string]any{"a": []any{2}, "b": 1}},
		"list functions":                {`[reverse(1..2), concat([1], 2..3), uniq([1, 1.0, "1", [1], [1]]), flatten([1, [2, [3]]])]`, []any{[]any{2, 1}, []any{1, 2, 3}, []any{1, "1", []any{1}}, []any{1, 2, 3}}},
		"first last take":               {`[first(input.ids), last(input.ids), take(input.ids, 2), first([])]`, []any{1, 3, []any{1, 2}, nil}},
		"get":                           {`[get(input, "name"), get(input, "x"), get(input.ids, -1), get(input.ids, 9), get(item, "x")]`, []any{"Ada", nil, 3, nil, nil}},
		"aggregates":                    {`[min(3, [1, 2]), max(input.ids), mean(1..4), median([1, [9, 2]])]`, []any{1, 3, json.Number("2.5"), 2}},
		"rounding gives int":            {`[ceil(1.2), floor(1.8), round(1.5), abs(-2), int("12"), int(1.9), float("1.5")]`, []any{2, 1, 2, 2, 12, 1, 1.5}},
		"bits":                          {`[bitand(6, 3), bitor(6, 3), bitxor(6, 3), bitshl(1, 4)]`, []any{2, 7, 5, 16}},
		"text functions":                {`[trim(" a "), upper("a"), lower("A"), trimPrefix("ab", "a"), replace("aXa", "a", "b"), replace("aXa", "a", "b", 1), repeat("ab", 2)]`, []any{"a", "A", "a", "b", "bXb", "bXa", "abab"}},
		"split":                         {`[split("a,b,c", ","), split("a,b,c", ",", 2), splitAfter("a,b", ",")]`, []any{[]any{"a", "b", "c"}, []any{"a", "b,c"}, []any{"a,", "b"}}},
		"positions":                     {`[indexOf("abc", "c"), lastIndexOf("aba", "a"), hasPrefix("ab", "a"), hasSuffix("ab", "a")]`, []any{2, 2, true, false}},
		"forced builtin":                {`::split("a,b", ",")`, []any{"a", "b"}},
		"type":                          {`[type(1), type("a"), type(1..2), type(nil), type(input)]`, []any{"int", "string", "array", "nil", "map"}},
		"string of anything":            {`[string(1), string(0.5), string(true), string([1, "a<b"]), string(nil)]`, []any{"1", "0.5", "true", `[1,"a<b"]`, "null"}},
		"toJSON":                        {`toJSON({b: 1..2, a: "<"})`, `{"a":"<","b":[1,2]}`},
		"fromJSON keeps every digit":    {`fromJSON('{"id": 9007199254740993, "x": [0.5]}')`, map[string]any{"id": 9007199254740993, "x": []any{json.Number("0.5")}}},
		"now is RFC 3339 in UTC":        {`now()`, "2025-01-01T18:04:05Z"},
		"uuid":                          {`uuid()`, "0190f3a4-0000-7000-8000-000000000001"},
		"sha256 is lower case hex":      {`sha256("abc")`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		"hex":                           {`hex("kf")`, "6b66"},
		"base64":                        {`[base64("a?>"), unbase64("YT8+"), unbase64("YT8-"), toBase64("a"), fromBase64("YQ==")]`, []any{"YT8+", "a?>", "a?>", "YQ==", "a"}},
		"urlencode":                     {`urlencode("a b/c?d=é+")`, "a%20b%2Fc%3Fd%3D%C3%A9%2B"},
		"comments":                      {"1 + /* one */ 1 // two", 2},
		"text is never a template":      {`input.braces + "{{ 1 + 1 }}"`, "}} {{{{ 1 + 1 }}"},
		"a result shares nothing typed": {`[1..2, {a: split("b", "")}]`, []any{[]any{1, 2}, map[string]any{"a": []any{"b"}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, tt.source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.source, diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"null as variable":       {`let null = 1; null`, "null cannot be the name of a variable\n  let null = 1; null\n      ^"},
		"null is no number":      {`null + 1`, "invalid operation: null + int\n  null + 1\n       ^"},
		"braces in a bare place": {` {{ input.flag }}`, "this is an expression already: write it without {{ and }}\n   {{ input.flag }}\n    ^"},
		"unknown name":           {`1 + inptu.x`, "unknown name \"inptu\" (did you mean \"input\"?)\n  1 + inptu.x\n      ^"},
		"unknown name, no guess": {`zzzzzz`, "unknown name \"zzzzzz\" (available here: input, nodes, vars, item)\n  zzzzzz\n  ^"},
		"second line":            {"1 +\n  inptu", "unknown name \"inptu\" (did you mean \"input\"?)\n    inptu\n    ^"},
		"behind wide letters":    {`"한글" + x.y`, "unknown name \"x\" (available here: input, nodes, vars, item)\n  \"한글\" + x.y\n         ^"},
		"environment":            {`$env`, "unknown name \"$env\" (available here: input, nodes, vars, item)\n  $env\n  ^"},
		"environment by key":     {`$env["input"]`, "unknown name \"$env\" (available here: input, nodes, vars, item)\n  $env[\"input\"]\n  ^"},
		"unknown function":       {`lenn(input)`, "unknown function \"lenn\" (did you mean \"len\"?)\n  lenn(input)\n  ^"},
		"function as value":      {`map([1], now)`, "now is a function: write now(...)\n  map([1], now)\n           ^"},
		"method":                 {`input.name.String()`, "values have no functions to call\n  input.name.String()\n             ^"},
		"date":                   {`date("2025-01-01")`, "the function date is not available: times are RFC 3339 texts such as now() gives\n  date(\"2025-01-01\")\n  ^"},
		"duration":               {`duration("1h")`, "the function duration is not available: times are RFC 3339 texts such as now() gives\n  duration(\"1h\")\n  ^"},
		"timezone":               {`::timezone("UTC")`, "the function timezone is not available: times are RFC 3339 texts such as now() gives\n  ::timezone(\"UTC\")\n    ^"},
		"bytes":                  {`b"ab"`, "byte literals are not supported\n  b\"ab\"\n  ^"},
		"all nodes":              {`keys(nodes)`, "nodes is read as nodes.<id>, with the id written out\n  keys(nodes)\n       ^"},
		"computed node":          {`nodes[input.name]`, "nodes is read as nodes.<id>, with the id written out\n  nodes[input.name]\n  ^"},
		"end":                    {`1 +`, "unexpected end of the expression\n  1 +\n    ^"},
		"static types":           {`1 + "a"`, "invalid operation: + (mismatched types int and string)\n  1 + \"a\"\n    ^"},
		"dynamic types":          {`input.name + 1`, "invalid operation: string + int\n  input.name + 1\n             ^"},
		"member of null":         {`input.missing.x`, "cannot read \"x\" of null (use ?. where it may be null)\n  input.missing.x\n                ^"},
		"member of text":         {`input.name.x`, "only an object has named members; lists and texts are indexed with whole numbers\n  input.name.x\n             ^"},
		"not of null":            {`not input.missing`, "a boolean is needed, got null\n  not input.missing\n  ^"},
		"loop over null":         {`map(input.missing, #)`, "map needs a list, got null\n  map(input.missing, #)\n  ^"},
		"loop over text":         {`filter(input.name, true)`, "filter needs a list, got a text\n  filter(input.name, true)\n  ^"},
		"wrong argument":         {`upper(input.ids)`, "upper needs a text, got a list\n  upper(input.ids)\n  ^"},
		"join of numbers":        {`join(input.ids)`, "join needs a list of texts, element a number is none (use map(list, string(#)))\n  join(input.ids)\n  ^"},
		"range of fractions":     {`1..input.half`, "range needs a whole number, got a number\n  1..input.half\n   ^"},
		"not a number":           {`0 / 0`, "division by zero\n  0 / 0\n    ^"},
		"literal beyond 64 bits": {`1 + 12345678901234567890`, "a whole number of more than 64 bits is written with a point: 12345678901234567890.0\n  1 + 12345678901234567890\n                         ^"},
		"infinity of floats":     {`[float(1) / 0]`, "the result is not a number that JSON can hold (+Inf)\n  [float(1) / 0]\n  ^"},
		"not a number of floats": {`0 / float(0)`, "the result is not a number that JSON can hold (NaN)\n  0 / float(0)\n  ^"},
		"infinity in a list":     {`[1 / 0]`, "division by zero\n  [1 / 0]\n     ^"},
		"int out of range":       {`int(float(2) ** 80)`, "int: 1.2089258196146292e+24 is out of range\n  int(float(2) ** 80)\n  ^"},
		"sort of a mixture":      {`sort(["a", 1, 2])`, "a number and a text cannot be put in order\n  sort([\"a\", 1, 2])\n  ^"},
		"sort order":             {`sort([2, 1], input.name)`, "the order is \"asc\" or \"desc\"\n  sort([2, 1], input.name)\n  ^"},
		"key of an object":       {`{(input.ids): 1}`, "a text is needed, got a list\n  {(input.ids): 1}\n  ^"},
		"not base64":             {`unbase64("!")`, "the text is not base64\n  unbase64(\"!\")\n  ^"},
		"base64 of bytes":        {`unbase64("/w==")`, "the base64 holds bytes that are not UTF-8 text\n  unbase64(\"/w==\")\n  ^"},
		"JSON":                   {`fromJSON("{")`, "fromJSON: unexpected EOF\n  fromJSON(\"{\")\n  ^"},
		"bad pattern":            {`input.name matches "("`, "missing closing ): `(` in the regular expression\n  input.name matches \"(\"\n                     ^"},
		"empty":                  {``, "unexpected end of the expression"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, tt.source)
			if err == nil {
				t.Fatalf("%s = %v, want an error", tt.source, got)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.source, diff)
			}
			if failed, ok := errors.AsType[*expression.Error](err); !ok || failed.Budget {
				t.Errorf("error is %#v, want an *Error outside of the budgets", err)
			}
		})
	}
}

func TestMissingFunctionsOfEnv(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"now()", "uuid()"} {
		e, err := expression.Compile(source, scope())
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Eval(t.Context(), expression.Env{})
		if want := source + " is not available here"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	e, err := expression.Compile(`(nodes.b?.output ?? nodes["a"].output) + len(nodes.b.x)`, scope())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, e.Nodes()); diff != "" {
		t.Error(diff)
	}
}

// Only data is reachable: guesses at the names of Go fields, methods and of this package.
func TestOnlyDataIsReachable(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`input.String`, `input["Header"]`, `get(input, "Client")`, `get(input, "\x00machine")`,
		`input["\x00machine"]`, `input.constructor`, `input.__proto__`, `get(input.ids, "Len") ?? nil`,
	} {
		if got, err := eval(t, source); got != nil {
			t.Errorf("%s = %v, %v; want nothing", source, got, err)
		}
	}
	for _, source := range []string{
		`$env["\x00machine"]`, `keys($env)`, `input.ids.Len()`, `len.Name`, `env("PATH")`, `"a".Error`,
	} {
		if got, err := eval(t, source); err == nil {
			t.Errorf("%s = %v, want an error", source, got)
		}
	}
}

// Two workflows never see each other's data, however their evaluations interleave.
func TestConcurrentEvaluationsAreApart(t *testing.T) {
	t.Parallel()
	e, err := expression.Compile(`map(input.list, {let v = #; v + input.name}) | join(",")`, scope())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			env := expression.Env{Vars: map[string]any{
				"input": map[string]any{"name": name, "list": []any{name, name}},
			}}
			for range 500 {
				got, err := e.Eval(t.Context(), env)
				if want := name + name + "," + name + name; got != want || err != nil {
					t.Errorf("got %v, %v; want %s", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestContextEndsEvaluation(t *testing.T) {
	t.Parallel()
	e, err := expression.Compile(`all(1..900, all(1..900, true))`, scope())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.Eval(ctx, env(t))
	if !errors.Is(err, context.Canceled) || err.Error() != "the evaluation was stopped: context canceled" {
		t.Errorf("before the start: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	stop := env(t)
	stop.Now = func() time.Time { cancel(); return time.Time{} }
	e, err = expression.Compile(`now() + string(all(1..900, all(1..900, true)))`, scope())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = e.Eval(ctx, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("in between: %v", err)
	}
}
