package engine_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	goOn := make(chan struct{})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "a" {
			<-goOn
		}
		return nil, nil
	}
	id := w.start(w.apply(`{"id": "watched", "nodes": {
	  "a": {"type": "call", "with": {"name": "a"}}, "b": {"type": "call", "needs": ["a"], "with": {"name": "b"}}, "c": {"type": "call", "needs": ["b"], "if": "false"}}}`), "")
	w.eventually("a is at work", func() bool { return w.count("a") == 1 })
	updates, err := w.engine.Watch(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	close(goOn)
	var got []string
	for u := range updates {
		if u.Run != nil {
			got = append(got, "run "+string(u.Run.Status))
		} else {
			got = append(got, stepName(*u.Step)+" "+string(u.Step.Status))
		}
	}
	want := []string{"run running", "a running", "a succeeded", "b running", "b succeeded", "c running", "c skipped", "run succeeded"}
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("updates (-want +got):\n%s", diff)
	}

	again, err := w.engine.Watch(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	var last live.Update
	seen := 0
	for last = range again {
		seen++
	}
	if seen != 4 || last.Run == nil || last.Run.Status != runs.Succeeded {
		t.Errorf("watching a final run: %d updates, the last is %+v", seen, last)
	}
	if _, err := w.engine.Watch(context.Background(), runs.ID{1}); !fault.Is(err, fault.NotFound) {
		t.Errorf("watching no run: %v", err)
	}
}

func TestWatchStops(t *testing.T) {
	t.Parallel()
	w := setup(t)
	goOn := make(chan struct{})
	w.do = func(context.Context, nodes.Env, call) (any, error) { <-goOn; return nil, nil }
	id := w.start(w.apply(`{"id": "watched", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")
	ctx, cancel := context.WithCancel(context.Background())
	updates, err := w.engine.Watch(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	<-updates
	cancel()
	for range updates { // ends, because the reader has gone
	}
	waitCtx, stopWaiting := context.WithCancel(context.Background())
	stopWaiting()
	if _, err := w.engine.Wait(waitCtx, id); err == nil {
		t.Error("Wait returned before the run ended")
	}
	close(goOn)
	w.wait(id)
}
