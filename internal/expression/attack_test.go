package expression_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/internal/expression"
)

const memoryLimit = 100 << 20

// bomb is an expression that must end as an ordinary error within the limits.
type bomb struct {
	source string
	vars   map[string]any
	want   string // part of the message
}

const (
	steps   = "takes more than 1000000 steps"
	bytes   = "builds more than 64 MiB of data"
	seconds = "takes longer than 2s"
)

func bombs() map[string]bomb {
	mib := strings.Repeat("a,", 1<<19)
	long := strings.Repeat("ab", 4<<20)
	other := strings.Repeat("ab", 4<<20)
	return map[string]bomb{
		// The four of the issue.
		"doubling text":      {source: `reduce(1..40, #acc + #acc, "xxxxxxxxxx")`, want: bytes},
		"five nested all":    {source: nested("all", 5, "1..60", "true"), want: steps},
		"3000 splits":        {source: `map(1..3000, split(input.text, ","))`, vars: map[string]any{"text": mib}, want: bytes},
		"nested parentheses": {source: strings.Repeat("(", 1e5) + "1" + strings.Repeat(")", 1e5), want: "at most 16384 bytes"},

		"3000 splits without separators":   {source: `all(1..3000, len(split(input.text, ";")) == 1)`, vars: map[string]any{"text": mib}, want: steps},
		"3000 appends":                     {source: `reduce(1..3000, #acc + input.text, "")`, vars: map[string]any{"text": mib}, want: bytes},
		"nested brackets":                  {source: strings.Repeat("[", 201) + strings.Repeat("]", 201), want: "brackets are nested deeper than 200 levels"},
		"nested not":                       {source: strings.Repeat("not ", 4000) + "true", want: "too complex"},
		"nested minus":                     {source: strings.Repeat("-", 9000) + "1", want: "too complex"},
		"nested ternaries":                 {source: strings.Repeat("true?1:", 2000) + "1", want: "too complex"},
		"shared comparison operands":       {source: nestedComparison(40), want: "too complex"},
		"doubling list":                    {source: `reduce(1..40, concat(#acc, #acc), [1])`, want: bytes},
		"doubling through a wrong type":    {source: `reduce(1..40, [[#acc],[1]][0][0] + [[#acc],[1]][0][0], "xxxxxxxxxx")`, want: bytes},
		"doubling a template join":         {source: `reduce(1..40, join([#acc, #acc]), "xxxxxxxxxx")`, want: bytes},
		"doubling by replace":              {source: `reduce(1..40, replace(#acc, "x", "xx"), "xxxxxxxxxx")`, want: "the expression"},
		"doubling by JSON":                 {source: `reduce(1..40, toJSON([#acc, #acc]), "x")`, want: bytes},
		"doubling by base64":               {source: `reduce(1..200, base64(#acc), "xxxxxxxxxx")`, want: bytes},
		"doubling by hex":                  {source: `reduce(1..40, hex(#acc), "xxxxxxxxxx")`, want: bytes},
		"many objects":                     {source: `map(1..900000, ({"a": #}))`, want: bytes},
		"many lists":                       {source: `map(1..900000, [#, #, #, #])`, want: bytes},
		"many inner loops":                 {source: `all(1..900, all(1..900, all([1], true)))`, want: bytes},
		"kept texts":                       {source: `map(1..100000, string(#) + input.text)`, vars: map[string]any{"text": mib}, want: bytes},
		"repeat":                           {source: `repeat("xxxxxxxxxx", 10000000)`, want: bytes},
		"repeat in a loop":                 {source: `map(1..100, repeat("x", 1000000))`, want: bytes},
		"range":                            {source: `1..1000000000`, want: bytes},
		"range over all integers":          {source: `-9223372036854775807..9223372036854775807`, want: bytes},
		"nested any":                       {source: nested("any", 3, "1..3000", "false"), want: steps},
		"nested map over a webhook's list": {source: `map(input.list, map(input.list, map(input.list, 1)))`, vars: map[string]any{"list": ones(3000)}, want: "the expression"},

		"comparing long texts":   {source: `all(1..900000, input.a == input.b)`, vars: map[string]any{"a": long, "b": other}, want: steps},
		"ordering long texts":    {source: `all(1..900000, input.a <= input.b)`, vars: map[string]any{"a": long, "b": other}, want: steps},
		"searching long texts":   {source: `all(1..900000, not (input.a contains "c"))`, vars: map[string]any{"a": long}, want: steps},
		"searching lists":        {source: `all(1..900000, 2 not in input.list)`, vars: map[string]any{"list": ones(3000)}, want: steps},
		"comparing lists":        {source: `all(1..900000, input.list == input.same)`, vars: map[string]any{"list": ones(3000), "same": ones(3000)}, want: steps},
		"sorting long texts":     {source: `len(sort(map(1..100000, # % 2 == 0 ? input.a : input.b)))`, vars: map[string]any{"a": long, "b": other}, want: steps},
		"grouping by long texts": {source: `len(groupBy(1..900000, input.a + string(#)))`, vars: map[string]any{"a": long}, want: bytes},
		"keys of long texts":     {source: `all(1..900000, input[input.a] == nil)`, vars: map[string]any{"a": long}, want: steps},
		"length of long texts":   {source: `all(1..900000, len(input.a) > 0)`, vars: map[string]any{"a": long}, want: steps},
		"unequal objects":        {source: `len(uniq(map(1..100000, ({"a": #}))))`, want: steps},

		"long pattern":            {source: `"a" matches input.p`, vars: map[string]any{"p": strings.Repeat("a", 1001)}, want: "at most 1000 bytes"},
		"pattern that grows":      {source: `"a" matches "((a{30}){30}){30}"`, want: "regular expression"},
		"pattern that grows wide": {source: `"a" matches "(` + strings.Repeat("[a-z]", 100) + `){900}"`, want: "repeats too much"},
		"many constant patterns":  {source: strings.Repeat(`"a" matches "[a-z]{900}" or `, 20) + "true", want: "too large together"},
		"slow pattern":            {source: `input.a matches "(x+x+)+y|(.*a.*){20}z"`, vars: map[string]any{"a": long}, want: "the expression"},
		"many patterns":           {source: `all(1..900000, not ("a" matches input.p + string(#)))`, vars: map[string]any{"p": strings.Repeat("(a|b)", 100)}, want: "the expression"},

		"deep list":              {source: `reduce(1..100000, [#acc], 1)`, want: "nested deeper than 1000 levels"},
		"deep list flattened":    {source: `flatten(reduce(1..100000, [#acc], 1))`, want: "nested deeper than 1000 levels"},
		"deep list as text":      {source: `string(reduce(1..100000, [#acc], 1))`, want: "nested deeper than 1000 levels"},
		"deep list as JSON":      {source: `toJSON(reduce(1..100000, ({"a": #acc}), 1))`, want: "nested deeper than 1000 levels"},
		"deep lists compared":    {source: `let a = reduce(1..100000, [#acc], 1); let b = reduce(1..100000, [#acc], 1); a == b`, want: "nested deeper than 1000 levels"},
		"deep list in a list":    {source: `let a = reduce(1..100000, [#acc], 1); a in [reduce(1..100000, [#acc], 1)]`, want: "nested deeper than 1000 levels"},
		"smallest of deep list":  {source: `min(reduce(1..100000, [#acc], 1))`, want: "nested deeper than 1000 levels"},
		"mean of deep list":      {source: `mean(reduce(1..100000, [#acc], 1))`, want: "nested deeper than 1000 levels"},
		"median of deep list":    {source: `median(reduce(1..100000, [#acc], 1))`, want: "nested deeper than 1000 levels"},
		"sum of deep list":       {source: `sum(reduce(1..100000, [#acc], [1]))`, want: "sum needs numbers, got a list"},
		"deep list as an index":  {source: `let d = reduce(1..100000, [#acc], 1); input.none[d]`, want: "an index is a text or a number, got a list"},
		"deep list as a slice":   {source: `let d = reduce(1..100000, [#acc], 1); input.text[d:1]`, vars: map[string]any{"text": 1}, want: "slice needs a whole number, got a list"},
		"deep list in a default": {source: `let d = reduce(1..100000, [#acc], 1); (input.none ?? d).x`, want: "only an object has named members"},
		"deep list as a key":     {source: `let d = reduce(1..100000, [#acc], 1); {(d): 1}`, want: "a text is needed, got a list"},
		"deep list as a number":  {source: `let d = reduce(1..100000, [#acc], 1); int(input.none ?? d)`, want: "int(list)"},
		"deep JSON":              {source: `fromJSON(repeat("[", 1001) + repeat("]", 1001))`, want: "nested deeper than 1000 levels"},
		"very deep JSON":         {source: `fromJSON(repeat("[", 1000000))`, want: "nested deeper than 1000 levels"},
		"wide JSON":              {source: `fromJSON("[" + repeat("{},", 200000) + "1]")`, want: bytes},
		"JSON again and again":   {source: `all(1..900000, len(fromJSON(input.text)) > 0)`, vars: map[string]any{"text": "[" + strings.Repeat("1,", 5000) + "1]"}, want: "the expression"},
	}
}

// nested returns fn(list, fn(list, ... body)).
func nested(fn string, depth int, list, body string) string {
	for range depth {
		body = fmt.Sprintf("%s(%s, %s)", fn, list, body)
	}
	return body
}

// nestedComparison chains comparisons inside of one another; expr shares the middle
// operand, so each level doubles the tree.
func nestedComparison(depth int) string {
	s := "1"
	for range depth {
		s = "1 < (" + s + ") < 1"
	}
	return s
}

func ones(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func TestBombs(t *testing.T) {
	for name, b := range bombs() {
		t.Run(name, func(t *testing.T) {
			others := runOthers(t)
			took, heap, err := measured(func() error {
				e, err := expression.Compile(b.source, expression.Scope{Names: []string{"input"}})
				if err != nil {
					return err
				}
				_, err = e.Eval(t.Context(), expression.Env{Vars: map[string]any{"input": b.vars}})
				return err
			})
			if n := others(); n == 0 && took > time.Second {
				t.Errorf("no other evaluation went on in %s", took)
			}
			failed, ok := errors.AsType[*expression.Error](err)
			if !ok {
				t.Fatalf("error is %v, want an *Error", err)
			}
			tooSlow := failed.Budget && strings.Contains(failed.Message, seconds) // on a busy machine
			if !strings.Contains(failed.Message, b.want) && !tooSlow {
				t.Errorf("error is %v, want %q", err, b.want)
			}
			if took > timeLimit {
				t.Errorf("took %s", took)
			}
			if heap > memoryLimit {
				t.Errorf("took %d MiB", heap>>20)
			}
			t.Logf("%s, %d MiB", took.Round(time.Millisecond), heap>>20)
		})
	}
}

// runOthers evaluates something else until the returned function is called, which says
// how often that succeeded.
func runOthers(t *testing.T) (stop func() int) {
	t.Helper()
	e, err := expression.Compile(`sum(map(1..10, # * 2))`, expression.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, done, n := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; n++ {
			if v, err := e.Eval(t.Context(), expression.Env{}); v != 110 {
				t.Errorf("another evaluation gave %v, %v", v, err)
				return
			}
			if n == 0 {
				close(started)
			}
			runtime.Gosched()
		}
	}()
	<-started
	return func() int {
		cancel()
		<-done
		return n - 1
	}
}

// measured runs fn and returns how long it took, by how much the heap, garbage included,
// grew at most meanwhile, and its error.
func measured(fn func() error) (took time.Duration, heap uint64, err error) {
	runtime.GC()
	base := heapAlloc()
	var peak atomic.Uint64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak.Store(max(peak.Load(), heapAlloc()))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	start := time.Now()
	err = fn()
	took = time.Since(start)
	peak.Store(max(peak.Load(), heapAlloc()))
	close(stop)
	wg.Wait()
	return took, peak.Load() - min(base, peak.Load()), err
}

func heapAlloc() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
