package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// kindOf names what an entry does, so that a test can pick its moment.
func kindOf(e runs.Entry) string {
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
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		out, err := commit()
		if slices.ContainsFunc(entries, func(e runs.Entry) bool { return kindOf(e) == kind }) {
			do()
		}
		return out, err
	})
	w.store.around.Store(&around)
}

// A process must stop after a run was stored, or claimed, and before it began here: the
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
			var run runs.ID
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
			if err := w.engine.Deliver(t.Context(), run, "wait", nodes.CodeWaitsForCallback, body(1)); err != nil {
				t.Fatal(err)
			}
			if moment == "claim" {
				w.stop()
				w.boot(engine.Options{Exclusive: true})
			}
			if ended, _ := w.wait(run); ended.Status != runs.Succeeded || w.count("b") != 1 {
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
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		if kindOf(entries[0]) == "claim" && claims.Add(1) == 1 {
			return nil, errors.New("not now")
		}
		return commit()
	})
	w.store.around.Store(&around)
	if err := w.engine.Cancel(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if run, _ := w.wait(second); run.Status != runs.Canceled || claims.Load() != 2 {
		t.Errorf("run %s after %d claims", run.Status, claims.Load())
	}
	close(goOn)
	if run, _ := w.wait(first); run.Status != runs.Succeeded || w.count("a") != 1 {
		t.Errorf("first run %s, %d calls", run.Status, w.count("a"))
	}
}

// hold makes every call report that it is at work and wait until it may go on, or is interrupted.
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

// A signal is stored right before the run would be given up to the store: the store refuses that
// (ErrSignals), and the signal is not slept through.
func TestSignalBeforeAPark(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ definition, kind, want string }{
		"cancel":    {`{"id": "w", "nodes": {"a": {"type": "wait", "with": {"for": "1h"}}}}`, runs.SignalCancel, "canceled"},
		"callback":  {`{"id": "w", "nodes": {"a": {"type": "wait", "with": {"callback": true}}}}`, runs.SignalStep, "succeeded"},
		"connected": {`{"id": "w", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "crm"}}}}`, runs.SignalConnected, "succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
				w := setupOn(t, open())
				w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) { return nil, w.persons.use("crm") }
				w.persons.leave("crm")
				var refused atomic.Int64
				around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
					for _, e := range entries {
						if kindOf(e) == "waiting" && refused.Load() == 0 {
							w.signal(e.Progress.Run, test.kind)
						}
					}
					out, err := commit()
					for _, o := range out {
						if errors.Is(o.Err, runs.ErrSignals) {
							refused.Add(1)
						}
					}
					return out, err
				})
				w.store.around.Store(&around)
				if run, _ := w.wait(w.start(w.apply(test.definition), "")); string(run.Status) != test.want || refused.Load() != 1 {
					t.Errorf("run %s, refused %d times", run.Status, refused.Load())
				}
			})
		})
	}
}

// A signal that concerns no step comes right before the run would be given up: it is given up
// right after.
func TestSignalForNobodyBeforeAPark(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var once atomic.Bool
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		for _, e := range entries {
			if kindOf(e) == "waiting" && !once.Swap(true) {
				w.signal(e.Progress.Run, runs.SignalConnected)
			}
		}
		return commit()
	})
	w.store.around.Store(&around)
	w.start(w.apply(`{"id": "w", "nodes": {"a": {"type": "wait", "with": {"for": "1h"}}}}`), "")
	w.parked("w")
	if !once.Load() {
		t.Error("there was no signal")
	}
}

// signal stores a signal as another process does.
func (w *world) signal(run runs.ID, kind string) {
	s := runs.Signal{Run: run, Kind: kind, ID: uuid.New()}
	switch kind {
	case runs.SignalStep:
		s.Data, s.Step = []byte(`{"node":"a","index":-1,"output":{"body":1}}`), &runs.StepRef{Run: run, Node: "a", Index: runs.NoIndex}
	case runs.SignalConnected:
		w.persons.come("crm")
		s.Data = []byte("crm")
	}
	w.beside(runs.Entry{Signal: &s})
}

// beside commits an entry beside the journal and returns its outcome.
func (w *world) beside(e runs.Entry) runs.Outcome {
	out, err := w.store.Store.Commit(context.Background(), []runs.Entry{e}, time.Now())
	if err != nil {
		w.Error(err)
		return runs.Outcome{}
	}
	return out[0]
}

// takeOver takes a run from its owner, which beats: the last beat is looked up again when there was
// another one meanwhile.
func (w *world) takeOver(p *runs.Progress) runs.Outcome {
	claim := &runs.Claim{Run: p.Run, Owner: runs.OwnerID(uuid.New()), TakeoverFrom: &p.Owner}
	for {
		beats, err := w.owners.Beats(context.Background())
		if err != nil {
			w.Error(err)
			return runs.Outcome{}
		}
		claim.Beat = beats[p.Owner]
		if out := w.beside(runs.Entry{Claim: claim}); out.Err == nil || !strings.Contains(out.Err.Error(), "is back") {
			return out
		}
	}
}

// A run is taken over right before, and right after, its owner stores how it ended: what the
// former owner sends too late is refused whole, and what it stored in time counts.
func TestTakeoverAroundTheEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before bool
		calls  int
		fence  int64
	}{"before": {true, 2, 3}, "after": {false, 1, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
				w := setupOn(t, open())
				var claimed runs.Outcome
				var once sync.Once
				takeover := func(p *runs.Progress) {
					once.Do(func() { claimed = w.takeOver(p) })
				}
				around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
					if kindOf(entries[0]) != "succeeded" {
						return commit()
					}
					if test.before {
						takeover(entries[0].Progress)
					}
					out, err := commit()
					takeover(entries[0].Progress)
					return out, err
				})
				w.store.around.Store(&around)
				run, _ := w.wait(w.start(w.apply(`{"id": "w", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), ""))
				if run.Status != runs.Succeeded || w.count("a") != test.calls || run.Fence != test.fence || test.before == fault.Is(claimed.Err, fault.Conflict) {
					t.Errorf("run %s with fence %d after %d calls; the takeover: %v", run.Status, run.Fence, w.count("a"), claimed.Err)
				}
			})
		})
	}
}

// A child ends while the owner of its parent is silent: whoever takes the parent over finds
// what the child gave, and the parent goes on once.
func TestChildEndsDuringATakeover(t *testing.T) {
	t.Parallel()
	w := setupOn(t, databasetest.Postgres(t))
	firstOwners := w.owners
	atWork, childAtWork, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		switch {
		case c.name == "stays" && c.n == 1:
			return hold(atWork, nil)(ctx, env, c)
		case c.name == "child":
			return hold(childAtWork, goOn)(ctx, env, c)
		default:
			return c.arg, nil
		}
	}
	w.apply(`{"id": "kid", "nodes": {"a": {"type": "call", "with": {"name": "child", "arg": 7}}}, "output": "{{ nodes.a.output }}"}`)
	parent := w.apply(`{"id": "parent", "nodes": {
		"stays": {"type": "call", "with": {"name": "stays"}}, "sub": {"type": "workflow", "with": {"workflow": "kid"}},
		"after": {"type": "call", "needs": ["sub"], "with": {"name": "after"}}}, "output": "{{ nodes.sub.output }}"}`)
	run := w.start(parent, "")
	<-atWork
	<-childAtWork
	w.boot(engine.Options{}) // the second process
	firstOwners.dead.Store(true)
	close(goOn) // the child ends while nobody has taken the parent over
	ended, steps := w.wait(run)
	if string(ended.Output) != "7" || ended.Fence < 2 || w.count("after") != 1 || w.count("stays") != 2 {
		t.Errorf("run %s gave %s with fence %d, %v; %d calls of what follows", ended.Status, ended.Output, ended.Fence, statuses(steps), w.count("after"))
	}
}
