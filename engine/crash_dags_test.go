package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/nodes"
)

// TestCrashAtEveryCommit runs random DAGs on the real store and lets the process die at its
// first commit, its second, and so on until a run gets through; each time once before and once
// after the commit. The next process ends the run as one that nothing happened to, and calls no
// step again whose result was stored.
func TestCrashAtEveryCommit(t *testing.T) {
	t.Parallel()
	seeds := map[string]uint64{"TestCrashAtEveryCommit/sqlite": 5, "TestCrashAtEveryCommit/postgres": 1}
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		for seed := range seeds[t.Name()] {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				c := &crashes{world: setupOn(t, open()), definition: drawWorkflow(rand.New(rand.NewPCG(seed, 1)))}
				c.world.do = c.call
				c.world.apply(leaf)
				c.world.apply(c.definition)
				want := c.life(0, false)
				for _, stored := range []bool{false, true} {
					for n := 1; ; n++ {
						got := c.life(n, stored)
						if diff := cmp.Diff(want, got); diff != "" {
							t.Fatalf("death at commit %d, stored %v (-without +with):\n%s\n%s", n, stored, diff, c.definition)
						}
						if !c.died {
							break
						}
					}
				}
			})
		}
	})
}

// leaf is the workflow that random DAGs start.
const leaf = `{"id": "leaf", "nodes": {"x": {"type": "call", "with": {"name": "{{ input.name }}", "arg": {"do": "{{ input.do }}"}}}}, "output": "{{ nodes.x.output }}"}`

// crashes lets a process die again and again with the same workflow.
type crashes struct {
	world      *world
	definition string
	died       bool // in the last life
}

// call does what the definition says, so that two lives differ in nothing but their deaths.
func (c *crashes) call(_ context.Context, env nodes.Env, call call) (any, error) {
	arg, _ := call.arg.(map[string]any)
	if arg["do"] == "fail" || arg["do"] == "second" && env.Attempt() == 1 {
		return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "refused"}
	}
	return arg["from"], nil
}

// life starts a run, dies at the n-th commit (0: never), and lets the next process end it. It
// returns what has become of the run and its steps.
func (c *crashes) life(n int, stored bool) map[string]string {
	w := c.world
	w.Helper()
	store := w.store
	w.dieAt(n, stored)
	key := fmt.Sprint(n, "-", stored)
	start := engine.Start{Workflow: "dag", Input: fmt.Appendf(nil, `{"life": %q}`, key), Dedupe: &runs.DedupeKey{Kind: "manual", Key: key, ExpiresAt: time.Now().Add(time.Hour)}}
	started, err := w.engine.Start(w.Context(), start)
	if err == nil {
		w.eventually("the run or the process ends", func() bool {
			run, _, err := w.engine.Run(w.Context(), started.Run)
			return store.dead.Load() || err == nil && run.Status.Final()
		})
	}
	store.around.Store(nil)
	c.died = store.dead.Load()
	finished := map[string]int{}
	if c.died {
		w.stop()
		if err == nil {
			finished = c.finished(started.Run, key)
		}
		w.boot(engine.Options{Exclusive: true})
		if started, err = w.engine.Start(w.Context(), start); err != nil { // whoever got no answer asks again
			w.Fatal(err)
		}
	}
	run, steps := w.wait(started.Run)
	got := map[string]string{"the run": fmt.Sprintf("%s %s", run.Status, run.Output)}
	for name, step := range steps {
		got[name] = fmt.Sprintf("%s %s after %d attempts", step.Status, step.Output, len(step.Attempts))
	}
	for name, calls := range finished {
		if now := w.count(name); now != calls {
			w.Errorf("death at commit %d, stored %v: %s had its result and was called %d times more\n%s", n, stored, name, now-calls, c.definition)
		}
	}
	return got
}

// finished is how often each call was made that belongs to a step with a result.
func (c *crashes) finished(run runs.ID, key string) map[string]int {
	calls := map[string]int{}
	for step, s := range c.world.steps(run) {
		if s.Status == runs.StepSucceeded || s.Status == runs.StepFailed {
			name := key + "/" + step
			calls[name] = c.world.count(name)
		}
	}
	return calls
}

// drawWorkflow writes a random DAG in which only the definition decides what becomes of each
// step: no failure stops others that happen to be slower.
func drawWorkflow(r *rand.Rand) string {
	all, needs := map[string]any{}, map[string]any{}
	for i := range 3 + r.IntN(4) {
		id := string(rune('a' + i))
		need := []string{}
		for j := range i {
			if r.IntN(5) < 2 {
				need = append(need, string(rune('a'+j)))
			}
		}
		from := []string{}
		for _, n := range need {
			from = append(from, "{{ nodes."+n+".output }}")
		}
		do := []string{"ok", "ok", "ok", "fail", "second"}[r.IntN(5)]
		name := "{{ input.life }}/" + id
		node := map[string]any{
			"type": "call", "needs": need, "on_error": "continue", "run_on": []string{"success", "success", "all_success", "failure", "always"}[r.IntN(5)],
		}
		if r.IntN(8) == 0 {
			node["if"] = "false"
		}
		if r.IntN(3) == 0 {
			node["for_each"], node["on_item_error"], node["max_parallel"] = fmt.Sprintf("0..%d", r.IntN(4)), "continue", 1+r.IntN(3)
			name += "/{{ index }}"
			do = "{{ index == 1 ? '" + do + "' : 'ok' }}"
		}
		switch r.IntN(4) {
		case 0:
			node["type"] = "workflow"
			node["with"] = map[string]any{"workflow": "leaf", "input": map[string]any{"name": name, "do": do}}
		default:
			node["retry"] = map[string]any{"max_attempts": 2, "initial": "1ms"}
			node["with"] = map[string]any{"name": name, "arg": map[string]any{"do": do, "from": from}}
		}
		all[id], needs["n"+id] = node, "{{ nodes."+id+".output }}"
	}
	text, err := json.Marshal(map[string]any{"id": "dag", "nodes": all, "output": needs})
	if err != nil {
		panic(err) // maps of text cannot fail
	}
	return string(text)
}
