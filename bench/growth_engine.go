package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// nodesCurve: what the rest of a DAG costs a step. The same number of steps at each size.
func nodesCurve() curve {
	return curve{
		name: "nodes", of: "nodes of a DAG: a third in a chain, the rest beside it", sizes: []int{1, 10, 100, 1_000}, measure: measureNodes,
		targets: []goal{{"CPU per step µs", ratio, 1.3}},
	}
}

func measureNodes(ctx context.Context, g *growth, size int) (p point, err error) {
	const steps = 20_000
	nodes := map[string]any{}
	for i := range size {
		node := map[string]any{"type": "transform", "with": map[string]any{"value": i}}
		switch {
		case i == 0:
		case i <= size/3:
			node["needs"] = []string{fmt.Sprint("n", i-1)}
		default:
			node["needs"] = []string{fmt.Sprint("n", i%(size/3+1))}
		}
		nodes[fmt.Sprint("n", i)] = node
	}
	s, data, err := g.serveNew(ctx, "dag", map[string]any{"id": "dag", "triggers": answering("dag"), "nodes": nodes})
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	defer func() { err = errors.Join(err, s.process.stop()) }()
	do := func(runs int) error {
		return s.each(runs, 16, func(int) error { return s.call(http.MethodPost, "/hooks/dag", map[string]any{}, nil) })
	}
	if err := do(max(steps/size/10, 2)); err != nil {
		return nil, err
	}
	used, took, err := s.spend(func() error { return do(steps / size) })
	if err != nil {
		return nil, err
	}
	n := float64(steps / size * size)
	return point{{"CPU per step µs", float64(used.Microseconds()) / n}, {"steps/s", n / took.Seconds()}}, nil
}

// answering is a webhook that answers with the run's output: reading a run would measure the
// writing of all its steps.
func answering(path string) map[string]any {
	return map[string]any{"in": map[string]any{"type": "webhook", "path": path, "respond": "on_finish", "respond_timeout": "5m", "input": "{{ trigger.request.body }}"}}
}

// elementsCurve: a for_each is linear, and its memory is bounded.
func elementsCurve() curve {
	return curve{
		name: "elements", of: "elements of a for_each, read by the next node", sizes: []int{100, 1_000, 10_000, 100_000}, measure: measureElements,
		targets: []goal{{"CPU per element µs", ratio, 1.3}, {"peak RSS MiB", last, 300}},
	}
}

func measureElements(ctx context.Context, g *growth, size int) (p point, err error) {
	s, data, err := g.serveNew(ctx, "each", map[string]any{
		"id": "each", "triggers": answering("each"),
		"nodes": map[string]any{
			"each": map[string]any{"type": "transform", "for_each": "input.items", "max_parallel": 16, "with": map[string]any{"value": map[string]any{"id": "{{ item }}", "name": "element {{ index }}"}}},
			"sum":  map[string]any{"type": "transform", "needs": []string{"each"}, "with": map[string]any{"value": "{{ len(nodes.each.output) }}"}},
		},
		"output": "{{ nodes.sum.output }}",
	})
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	defer func() { err = errors.Join(err, s.process.stop()) }()
	items := make([]int, size)
	for i := range items {
		items[i] = i
	}
	runs := max(1, 10_000/size)
	used, took, err := s.spend(func() error {
		for range runs {
			if err := s.call(http.MethodPost, "/hooks/each", map[string]any{"items": items}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	peak, err := s.process.peak()
	n := float64(runs * size)
	return point{{"CPU per element µs", float64(used.Microseconds()) / n}, {"elements/s", n / took.Seconds()}, {"peak RSS MiB", mib(peak)}}, err
}

// concurrentCurve: runs at once that wait for an upstream which takes five seconds.
func concurrentCurve() curve {
	return curve{
		name: "concurrent", of: "runs at once on an upstream that takes 5 s (--concurrency 10000)", sizes: []int{10, 1_000, 10_000}, measure: measureConcurrent,
		targets: []goal{{"not succeeded", last, 0}, {"peak RSS MiB", last, 600}},
	}
}

func measureConcurrent(ctx context.Context, g *growth, size int) (p point, err error) {
	s, data, err := g.serveNew(ctx, "slow", map[string]any{
		"id":       "slow",
		"triggers": map[string]any{"in": map[string]any{"type": "webhook", "path": "slow"}},
		"nodes":    map[string]any{"call": map[string]any{"type": "web_request", "timeout": "2m", "with": map[string]any{"url": g.upstream.url + "/slow?for=5s"}, "output": "{{ this.body }}"}},
		"output":   "{{ nodes.call.output }}",
	}, "--concurrency", "10000")
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	defer func() { err = errors.Join(err, s.process.stop()) }()
	used, took, err := s.spend(func() error {
		err := s.each(size, 64, func(i int) error { return s.call(http.MethodPost, "/hooks/slow", map[string]any{"id": i}, nil) })
		if err != nil {
			return err
		}
		return s.quiet(5 * time.Minute)
	})
	if err != nil {
		return nil, err
	}
	ended, err := s.ended("slow", size)
	if err != nil {
		return nil, err
	}
	peak, err := s.process.peak()
	return point{{"not succeeded", float64(size - ended)}, {"all done s", took.Seconds()}, {"CPU per run ms", ms(used) / float64(size)}, {"peak RSS MiB", mib(peak)}}, err
}

// inputsCurve: runs with an input of 1 MB each that wait for a slow upstream.
func inputsCurve() curve {
	return curve{
		name: "inputs", of: "runs with 1 MB of input at once on an upstream that takes 5 s", sizes: []int{2, 20, 100}, measure: measureInputs,
		targets: []goal{{"not succeeded", last, 0}, {"peak RSS MiB", last, 600}},
	}
}

func measureInputs(ctx context.Context, g *growth, size int) (p point, err error) {
	s, data, err := g.serveNew(ctx, "large", map[string]any{
		"id": "large",
		"nodes": map[string]any{"call": map[string]any{"type": "web_request", "timeout": "2m",
			"with": map[string]any{"url": g.upstream.url + "/slow?for=5s&rows={{ len(input.rows) }}"}, "output": "{{ this.body }}"}},
		"output": "{{ len(input.rows) }}",
	})
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	defer func() { err = errors.Join(err, s.process.stop()) }()
	row := map[string]any{"id": 1, "name": "somebody", "email": "somebody@example.com", "tags": []string{"a", "b"}}
	rows := make([]any, 12_000)
	for i := range rows {
		rows[i] = row
	}
	used, took, err := s.spend(func() error {
		err := s.each(size, 4, func(int) error { _, err := s.start("large", map[string]any{"rows": rows}); return err })
		if err != nil {
			return err
		}
		return s.quiet(5 * time.Minute)
	})
	if err != nil {
		return nil, err
	}
	ended, err := s.ended("large", size)
	if err != nil {
		return nil, err
	}
	peak, err := s.process.peak()
	return point{{"not succeeded", float64(size - ended)}, {"all done s", took.Seconds()}, {"CPU per run ms", ms(used) / float64(size)}, {"peak RSS MiB", mib(peak)}}, err
}

// serveNew starts a server on a new data folder with one workflow.
func (g *growth) serveNew(ctx context.Context, id string, definition map[string]any, flags ...string) (*server, string, error) {
	data, err := g.folder()
	if err != nil {
		return nil, "", err
	}
	s, err := g.serve(ctx, data, flags...)
	if err != nil {
		return nil, "", err
	}
	if err := s.call(http.MethodPut, "/api/v1/workflows/"+id, definition, nil); err != nil {
		return nil, "", errors.Join(err, s.process.stop())
	}
	_, err = s.loaded(time.Minute)
	return s, data, err
}

// each calls do for 0 to n-1, some at a time, and returns the first error.
func (s *server) each(n, atOnce int, do func(i int) error) error {
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, 1)
	for range min(atOnce, n) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// spend returns the processor time of the server, and the time, that do took.
func (s *server) spend(do func() error) (cpu, took time.Duration, err error) {
	before, err := s.process.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := s.process.cpu()
	return after - before, took, err
}

// quiet waits until no run is queued, running or waiting.
func (s *server) quiet(limit time.Duration) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		open := 0
		for _, status := range []string{"queued", "running", "waiting"} {
			var list struct{ Items []run }
			if err := s.call(http.MethodGet, "/api/v1/runs?limit=1&status="+status, nil, &list); err != nil {
				return err
			}
			open += len(list.Items)
		}
		if open == 0 {
			return nil
		}
	}
	return fmt.Errorf("runs are still open after %s", limit)
}

// ended counts the runs of a workflow that succeeded, up to most.
func (s *server) ended(workflow string, most int) (n int, err error) {
	cursor := ""
	for n < most {
		var list struct {
			Items      []run
			NextCursor string `json:"next_cursor"`
		}
		path := "/api/v1/runs?limit=200&status=succeeded&workflow=" + workflow
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		if err := s.call(http.MethodGet, path, nil, &list); err != nil {
			return n, err
		}
		n += len(list.Items)
		if cursor = list.NextCursor; cursor == "" {
			break
		}
	}
	return n, nil
}
