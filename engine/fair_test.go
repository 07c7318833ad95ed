package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// flood stores runs that nobody owns, as a crash or another process leaves them.
func (w *world) flood(workflow workflows.ID, count int) []runs.ID {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	var ids []runs.ID
	for len(ids) < count {
		var entries []runs.Entry
		for range min(500, count-len(ids)) {
			id := runs.ID(uuid.Must(uuid.NewV7()))
			ids = append(ids, id)
			entries = append(entries, runs.Entry{Create: &runs.NewRun{Run: runs.Run{
				ID: id, Workflow: workflow, Version: 1, Folder: "/", Status: runs.Queued, CreatedAt: now, Input: json.RawMessage(`{}`),
				Trigger: runs.TriggerRef{ID: "manual", Type: "manual", FiredAt: now},
			}}})
		}
		outcomes, err := w.store.Commit(context.Background(), entries, now)
		if err != nil || slices.ContainsFunc(outcomes, func(o runs.Outcome) bool { return o.Err != nil }) {
			w.Fatalf("store a flood: %v", err)
		}
	}
	return ids
}

// turns lets steps end one by one, until the call with this argument has begun, and then its own.
// It returns how many began before it.
func (w *world) turns(g *gate, arg string, limit int) int {
	w.Helper()
	began := func() (all, at int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.order), slices.Index(g.order, any(arg))
	}
	for all, at := began(); ; all, at = began() {
		if at >= 0 || all > limit {
			for range limit {
				g.hold <- struct{}{}
			}
			return max(at, all-1)
		}
		g.hold <- struct{}{}
		w.eventually("another step begins", func() bool { now, _ := began(); return now > all })
	}
}

// A flood of one workflow, stored by a process that ended, delays the only run of another by as
// many steps as there are slots, although its runs are all older and more than one look shows.
func TestFloodDelaysNobody(t *testing.T) {
	t.Parallel()
	const slots = 2
	for name, late := range map[string]bool{"stored with it": false, "started above the limit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			g := w.through(true)
			flood := w.apply(`{"id": "flood", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "flood"}}}}`)
			calm := w.apply(`{"id": "calm", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "calm"}}}}`)
			w.stop()
			w.flood(flood, 5000)
			var run runs.ID
			if !late {
				run = w.flood(calm, 1)[0]
			}
			w.boot(engine.Options{Exclusive: true, Concurrency: slots, QueueLimit: 50, StopTimeout: time.Millisecond})
			w.eventually("the flood has all slots", func() bool { return g.inside("a") == slots })
			dueReads := w.store.dueReads.Load()
			w.eventually("the store was asked twice", func() bool { return w.store.dueReads.Load() >= dueReads+2 })
			if late {
				w.eventually("the flood is refused", func() bool {
					_, err := w.engine.Start(context.Background(), engine.Start{Workflow: flood})
					return fault.Is(err, fault.Unavailable)
				})
				run = w.start(calm, "")
			}
			if n := w.turns(g, "calm", 3*slots); n > 2*slots {
				t.Errorf("%d steps of the flood began before", n)
			}
			w.ends(runs.Succeeded, run)
		})
	}
}

// A run with very many elements delays a small one, of its own workflow or another, by as many
// steps as there are slots.
func TestGiantDelaysNobody(t *testing.T) {
	t.Parallel()
	const slots = 4
	for _, of := range []string{"giant", "other"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.stop()
			w.boot(engine.Options{Exclusive: true, Concurrency: slots, StopTimeout: time.Millisecond})
			g := w.through(true)
			for _, id := range []string{"giant", "other"} {
				w.apply(fmt.Sprintf(`{"id": %q, "nodes": {"a": {"type": "call", "for_each": "1..input.n", "max_parallel": 1000, "with": {"name": "a", "arg": "{{ input.who }}"}}}}`, id))
			}
			giant := w.start("giant", `{"n": 2000, "who": "giant"}`)
			w.eventually("the giant has all slots", func() bool { return g.inside("a") == slots })
			small := w.start(workflows.ID(of), `{"n": 1, "who": "small"}`)
			if n := w.turns(g, "small", 3*slots); n > 2*slots {
				t.Errorf("%d steps of the giant began before", n)
			}
			w.ends(runs.Succeeded, small)
			if err := w.engine.Cancel(context.Background(), giant); err != nil {
				t.Fatal(err)
			}
			w.ends(runs.Canceled, giant)
		})
	}
}
