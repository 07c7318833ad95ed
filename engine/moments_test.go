package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"keyflow/engine"
	"keyflow/nodes"
)

// kindOf names what an entry does, so that a test can pick its moment.
func kindOf(e engine.Entry) string {
	switch {
	case e.Create != nil:
		return "create"
	case e.Claim != nil:
		return "claim"
	case e.Signal != nil:
		return "signal"
	case e.Progress.Set != nil:
		return string(e.Progress.Set.Status)
	default:
		return "steps"
	}
}

// at calls do when entries of a kind have been stored, before anybody hears of it.
func (w *world) at(kind string, do func()) {
	around := aroundCommit(func(entries []engine.Entry, commit func() ([]engine.Outcome, error)) ([]engine.Outcome, error) {
		out, err := commit()
		if slices.ContainsFunc(entries, func(e engine.Entry) bool { return kindOf(e) == kind }) {
			do()
		}
		return out, err
	})
	w.store.around.Store(&around)
}

// A process is told to stop after a run was stored, or claimed, and before it began here: the
// run is handed back and goes on with the next process.
func TestStopBeforeARunBegins(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"create", "claim"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			id := w.apply(`{"id": "w", "nodes": {
				"wait": {"type": "wait", "with": {"callback": true}},
				"b": {"type": "call", "needs": ["wait"], "with": {"name": "b"}}}}`)
			var run engine.RunID
			stopping := func() {
				e, stop := w.engine, w.stop
				go stop()
				w.eventually("the process stops", func() bool { return e.Ready() != nil })
			}
			if moment == "create" {
				w.at("create", stopping)
				run = w.start(id, "")
				w.stop()
				w.boot(engine.Options{Exclusive: true})
				w.waits(run)
			} else {
				run = w.start(id, "")
				w.waits(run)
				w.at("claim", stopping)
			}
			if err := w.engine.Bring(t.Context(), run, "wait", nodes.CodeWaitsForCallback, body(1)); err != nil {
				t.Fatal(err)
			}
			if moment == "claim" {
				w.stop()
				w.boot(engine.Options{Exclusive: true})
			}
			if ended, _ := w.wait(run); ended.Status != engine.RunSucceeded || w.count("b") != 1 {
				t.Errorf("run %s after %d calls", ended.Status, w.count("b"))
			}
		})
	}
}

// A cancel reaches a run that waits for a slot although the first claim of it fails.
func TestCancelQueuedWhenItsClaimFails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, Concurrency: 1})
	atWork, goOn := make(chan struct{}), make(chan struct{})
	w.do = hold(atWork, goOn)
	one := w.apply(`{"id": "one", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`)
	first := w.start(one, "")
	<-atWork
	second := w.start(one, "")
	var claims atomic.Int64
	around := aroundCommit(func(entries []engine.Entry, commit func() ([]engine.Outcome, error)) ([]engine.Outcome, error) {
		if kindOf(entries[0]) == "claim" && claims.Add(1) == 1 {
			return nil, errors.New("not now")
		}
		return commit()
	})
	w.store.around.Store(&around)
	if err := w.engine.Cancel(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if run, _ := w.wait(second); run.Status != engine.RunCanceled || claims.Load() != 2 {
		t.Errorf("run %s after %d claims", run.Status, claims.Load())
	}
	close(goOn)
	if run, _ := w.wait(first); run.Status != engine.RunSucceeded || w.count("a") != 1 {
		t.Errorf("first run %s, %d calls", run.Status, w.count("a"))
	}
}

// hold makes every call tell that it is at work and wait until it may go on, or is interrupted.
func hold(atWork chan<- struct{}, goOn <-chan struct{}) func(context.Context, nodes.Env, call) (any, error) {
	return func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		select {
		case atWork <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-goOn:
			return c.arg, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
