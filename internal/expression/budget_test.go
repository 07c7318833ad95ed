package expression

import (
	"errors"
	"testing"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/parser/operator"
)

// used evaluates source and returns what it took from the budgets.
func used(t *testing.T, source string) (steps, bytes int) {
	t.Helper()
	e, err := Compile(source, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	m := e.pool.get(t.Context(), Env{})
	defer e.pool.put(m)
	if _, failed := m.eval(e); failed != nil {
		t.Fatal(failed)
	}
	return m.steps, m.bytes
}

// Every loop of expr is charged for every pass, and again inside of another loop.
func TestEveryLoopTicks(t *testing.T) {
	t.Parallel()
	loops := map[string]string{
		"all": "all(1..100, true)", "none": "none(1..100, false)", "any": "any(1..100, false)",
		"one": "one(1..100, false)", "filter": "filter(1..100, true)", "map": "map(1..100, #)",
		"count": "count(1..100, true)", "count without test": "count(map(1..100, true))",
		"sum": "sum(1..100, #)", "sum without body": "sum(1..100)",
		"find": "find(1..100, false)", "findIndex": "findIndex(1..100, false)",
		"findLast": "findLast(1..100, false)", "findLastIndex": "findLastIndex(1..100, false)",
		"groupBy": "groupBy(1..100, #)", "sortBy": "sortBy(1..100, -#)", "sortBy order": `sortBy(1..100, #, "desc")`,
		"reduce": "reduce(1..101, #acc + #)", "reduce from": "reduce(1..100, #acc + #, 0)",
		"in an operand": "[1][len(map(1..100, #)) - 100]", "in a variable": "let x = map(1..100, #); x",
		"in a branch": "true ? map(1..100, #) : 1", "in an object": "{a: map(1..100, #)}",
		"in a slice": "[1][:len(map(1..100, #))]", "in a comparison": "1 < len(map(1..100, #)) < 101",
		"forced": "::map(1..100, #)", "in a block": "map([1], {1; map(1..100, #)})",
	}
	for name, source := range loops {
		if steps, _ := used(t, source); steps < 100 {
			t.Errorf("%s: %s took %d steps, want 100 at least", name, source, steps)
		}
		if steps, _ := used(t, "map(1..10, {"+source+"})"); steps < 1000 {
			t.Errorf("%s: ten of %s took %d steps, want 1000 at least", name, source, steps)
		}
	}
}

// Every function of expr is known: as a loop, as one of constant cost, as a checked one, or
// as one that is left out. A newer expr has to be looked at before it compiles.
func TestEveryBuiltinIsDecided(t *testing.T) {
	t.Parallel()
	for _, name := range builtin.Names {
		_, loop := loops[name]
		_, checked := functions[name]
		if !loop && !checked && !constantCost[name] && !unavailable[name] {
			t.Errorf("%s is not decided", name)
		}
	}
	for name := range operator.Binary {
		if _, checked := operators[name]; !checked && !constantCost[name] && name != "|" {
			t.Errorf("the operator %s is not decided", name)
		}
	}
}

func TestBuiltDataIsCharged(t *testing.T) {
	t.Parallel()
	tests := map[string]int{
		`repeat("x", 1000) + repeat("y", 1000)`:     4000,
		`1..1000`:                                   8000,
		`map(1..1000, #)`:                           16000,
		`map(1..1000, ({a: #}))`:                    300_000,
		`map(1..1000, [#, #])`:                      32_000,
		`split(repeat("a,", 1000), ",")`:            18_000,
		`join(map(1..1000, "x"), "yy")`:             3000,
		`replace(repeat("a", 1000), "a", "bb")`:     2000,
		`toJSON(1..1000)`:                           3893,
		`string(1..1000)`:                           3893,
		`upper(repeat("x", 1000))`:                  2000,
		`base64(repeat("x", 1000))`:                 2333,
		`unbase64(repeat("YWFh", 1000))`:            7000,
		`hex(repeat("x", 1000))`:                    3000,
		`urlencode(repeat("%", 1000))`:              4000,
		`fromJSON("[" + repeat("1,", 1000) + "1]")`: 24_000,
		`sort(1..1000)`:                             40_000,
		`reverse(1..1000)`:                          24_000,
		`concat(1..1000, 1..1000)`:                  48_000,
		`flatten([1..1000, 1..1000])`:               48_000,
		`uniq(1..1000)`:                             56_000,
		`keys(fromPairs(map(1..1000, [#, #])))`:     100_000,
		`groupBy(1..1000, #)`:                       100_000,
	}
	for source, want := range tests {
		if _, bytes := used(t, source); bytes < want {
			t.Errorf("%s charged %d bytes, want %d at least", source, bytes, want)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	e, err := Compile(`all(1..1000, true)`, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	m := e.pool.get(t.Context(), Env{})
	m.deadline = time.Now().Add(-time.Second)
	_, failed := m.eval(e)
	if failed == nil || !failed.Budget || !errors.Is(failed, errTime) {
		t.Fatalf("error is %v", failed)
	}
	if want := "the expression takes longer than 2s"; failed.Message != want {
		t.Errorf("message is %q, want %q", failed.Message, want)
	}
}

// A machine that goes back to its pool keeps nothing of the evaluation.
func TestMachineForgets(t *testing.T) {
	t.Parallel()
	e, err := Compile(`let x = a.b; x + a.b`, Scope{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	m := e.pool.get(t.Context(), Env{Vars: map[string]any{"a": map[string]any{"b": "secret"}}})
	if v, failed := m.eval(e); v != "secretsecret" || failed != nil {
		t.Fatal(v, failed)
	}
	e.pool.put(m)
	for _, v := range append(m.vm.Stack[:cap(m.vm.Stack)], m.vm.Variables...) {
		if v != nil {
			t.Errorf("kept %v", v)
		}
	}
	if m.vars["a"] != nil || m.ctx != nil || m.steps != 0 || m.bytes != 0 {
		t.Errorf("kept %+v", m)
	}
}
