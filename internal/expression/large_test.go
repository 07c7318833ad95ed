package expression

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// Evaluations that build much take turns; those that build little do not wait for them, and
// one that waits can be stopped. Not parallel: it takes all turns of the process.
func TestLargeEvaluationsTakeTurns(t *testing.T) { //nolint:paralleltest // see above
	compiled := map[string]*Expression{}
	for name, source := range map[string]string{"large": `len(repeat("x", 8000000))`, "small": `len(repeat("x", 1000))`} {
		e, err := Compile(source, Scope{})
		if err != nil {
			t.Fatal(err)
		}
		compiled[name] = e
	}
	for range largeAtOnce {
		large <- struct{}{}
	}
	if got, err := compiled["small"].Eval(t.Context(), Env{}); err != nil || got != 1000 {
		t.Errorf("small: %v, %v", got, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := compiled["large"].Eval(stopped, Env{}); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	})
	for range 3 * largeAtOnce {
		all.Go(func() {
			if got, err := compiled["large"].Eval(t.Context(), Env{}); err != nil || got != 8_000_000 {
				t.Errorf("large: %v, %v", got, err)
			}
		})
	}
	stop()
	for range largeAtOnce {
		<-large
	}
	all.Wait()
	if len(large) != 0 {
		t.Errorf("%d turns were not given back", len(large))
	}
}
