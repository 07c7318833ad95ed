package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

// BenchmarkRun is the engine's part of docs/explanation/performance.md: a run of one step, started
// and waited for, with everything durable. runs/s is the figure to watch.
func BenchmarkRun(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("%dcallers", callers), func(b *testing.B) {
			w := setupBench(b)
			id := w.apply(`{"id": "bench", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "{{ trigger.request.body }}"}}}, "output": "{{ nodes.a.output }}"}`)
			s := engine.Start{Workflow: id, Trigger: runs.TriggerRef{ID: "form", Type: "webhook", Request: []byte(`{"body":{"x":7},"headers":{"content-type":"application/json"}}`)}}
			b.ReportAllocs()
			began := time.Now()
			parallel(b, callers, func() {
				started, err := w.engine.Start(context.Background(), s)
				if err != nil {
					b.Error(err)
					return
				}
				if run, err := w.engine.Wait(context.Background(), started.Run); err != nil || run.Status != runs.Succeeded {
					b.Errorf("run %+v, %v", run, err)
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "runs/s")
		})
	}
}

// BenchmarkForEach shows that the cost of an element does not grow with their number.
func BenchmarkForEach(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%delements", n), func(b *testing.B) {
			w := setupBench(b)
			id := w.apply(fmt.Sprintf(`{"id": "bench", "nodes": {"each": {"type": "call", "for_each": "1..%d", "max_parallel": 64, "with": {"name": "a", "arg": "{{ item }}"}}}}`, n))
			for b.Loop() {
				run, err := w.engine.Wait(context.Background(), w.start(id, ""))
				if err != nil || run.Status != runs.Succeeded {
					b.Fatalf("run %+v, %v", run, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/element")
		})
	}
}

// BenchmarkChain shows that the cost of a step does not grow with the DAG.
func BenchmarkChain(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1_000} {
		b.Run(fmt.Sprintf("%dnodes", n), func(b *testing.B) {
			w := setupBench(b)
			var d strings.Builder
			d.WriteString(`{"id": "bench", "nodes": {"n0": {"type": "call", "with": {"name": "n"}}`)
			for i := 1; i < n; i++ {
				fmt.Fprintf(&d, `, "n%d": {"type": "call", "needs": ["n%d"], "with": {"arg": "{{ nodes.n%d.status }}"}}`, i, i-1, i-1)
			}
			d.WriteString("}}")
			id := w.apply(d.String())
			for b.Loop() {
				run, err := w.engine.Wait(context.Background(), w.start(id, ""))
				if err != nil || run.Status != runs.Succeeded {
					b.Fatalf("run %+v, %v", run, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/step")
		})
	}
}

func parallel(b *testing.B, callers int, do func()) {
	work := make(chan struct{})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range work {
				do()
			}
		})
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	all.Wait()
}

func setupBench(b *testing.B) *world {
	b.Helper()
	w := setup(b)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) { return c.arg, nil }
	return w
}
