package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// gate is an upstream that counts how many calls of a kind are in it at once.
type gate struct {
	mu      sync.Mutex
	at, max map[string]int
	order   []any // args in the order of the calls
	hold    chan struct{}
}

// through makes calls of the world pass the gate; with hold, each waits for a token.
func (w *world) through(hold bool) *gate {
	g := &gate{at: map[string]int{}, max: map[string]int{}}
	if hold {
		g.hold = make(chan struct{}, 1000)
	}
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		g.enter(c)
		defer g.leave(c)
		if g.hold != nil {
			select {
			case <-g.hold:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return c.arg, nil
	}
	return g
}

func (g *gate) enter(c call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at[c.name]++
	g.max[c.name] = max(g.max[c.name], g.at[c.name])
	g.order = append(g.order, c.arg)
}

func (g *gate) leave(c call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at[c.name]--
}

func (g *gate) inside(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at[name]
}

// limited applies a workflow with one call under a limit.
func (w *world) limited(id, concurrency string) workflows.ID {
	w.Helper()
	return w.apply(fmt.Sprintf(`{"id": %q, "concurrency": %s, "nodes": {
		"a": {"type": "call", "with": {"name": "{{ string(input.k ?? 'a') }}", "arg": "{{ input.n ?? 0 }}"}}}}`, id, concurrency))
}

func (w *world) inLine(id runs.ID) bool {
	w.Helper()
	run, _, err := w.engine.Run(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	return run.WaitsForSlot
}

func (w *world) slotRows() (n int64) {
	w.Helper()
	if err := w.db.Read().Raw("SELECT count(*) FROM slots").Scan(&n).Error; err != nil {
		w.Fatal(err)
	}
	return n
}

// ends waits for the end of runs, which must have this status, and for the last slot to be free.
func (w *world) ends(status runs.Status, ids ...runs.ID) {
	w.Helper()
	for _, id := range ids {
		if run, _ := w.wait(id); run.Status != status {
			w.Errorf("run %s is %s: %+v; want %s", id, run.Status, run.Error, status)
		}
	}
}

func (w *world) noSlots() {
	w.Helper()
	if n := w.slotRows(); n != 0 {
		w.Errorf("%d slots are left", n)
	}
}

func TestConcurrencyQueuesInOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("one", `{"limit": 1}`)
	var list []runs.ID
	var want []any
	for n := range 20 {
		list, want = append(list, w.start(id, fmt.Sprintf(`{"n": %d}`, n))), append(want, n)
	}
	w.eventually("the first is at work", func() bool { return g.inside("a") == 1 })
	for i, run := range list {
		if w.inLine(run) != (i > 0) {
			t.Errorf("run %d waits: %v", i, i == 0)
		}
	}
	for range list {
		g.hold <- struct{}{}
	}
	w.ends(runs.Succeeded, list...)
	if diff := cmp.Diff(want, g.order); diff != "" || g.max["a"] != 1 {
		t.Errorf("at once %d; order (-want +got):\n%s", g.max["a"], diff)
	}
	w.noSlots()
}

func TestConcurrencyCountsByKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("keyed", `{"limit": 2, "key": "{{ input.k }}"}`)
	var list []runs.ID
	for n := range 30 {
		list = append(list, w.start(id, fmt.Sprintf(`{"k": "k%d", "n": %d}`, n%3, n)))
	}
	w.eventually("two of each key are at work", func() bool { return g.inside("k0")+g.inside("k1")+g.inside("k2") == 6 })
	for range list {
		g.hold <- struct{}{}
	}
	w.ends(runs.Succeeded, list...)
	if diff := cmp.Diff(map[string]int{"k0": 2, "k1": 2, "k2": 2}, g.max); diff != "" {
		t.Errorf("at once (-want +got):\n%s", diff)
	}
	w.noSlots()
}

func TestConcurrencyKeyMustBeComputable(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.limited("keyed", `{"limit": 2, "key": "{{ input.a.b }}"}`)
	_, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Input: []byte(`{"a": "text"}`)})
	problems := fault.ProblemsOf(err)
	if !fault.Is(err, fault.Invalid) || len(problems) != 1 || problems[0].Path != "/concurrency/key" || problems[0].Code != "expression" {
		t.Errorf("start: %v %v", err, problems)
	}
	_, wrong := workflows.Parse([]byte(`{"id": "x", "concurrency": {"limit": 0, "on_limit": "wait", "extra": 1}, "nodes": {"a": {"type": "call"}}}`))
	var paths []string
	for _, p := range wrong {
		paths = append(paths, p.Path)
	}
	slices.Sort(paths)
	if diff := cmp.Diff([]string{"/concurrency/extra", "/concurrency/limit", "/concurrency/on_limit"}, paths); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	d, _ := workflows.Parse([]byte(`{"id": "x", "concurrency": {"limit": 1, "key": "{{ nodes.a.output }}"}, "nodes": {"a": {"type": "call"}}}`))
	if _, problems := plan.Compile(d, w.types); len(problems) != 1 || problems[0].Path != "/concurrency/key" {
		t.Errorf("a key that reads a node: %v", problems)
	}
}

func TestConcurrencySkips(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("one", `{"limit": 1, "on_limit": "skip"}`)
	key := func(s string) *runs.DedupeKey {
		return &runs.DedupeKey{Kind: "webhook", Key: s, ExpiresAt: epochEnd}
	}
	first, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Dedupe: key("1")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a delivery that was refused may come again
		if _, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Dedupe: key("2")}); !fault.Is(err, fault.Conflict) {
			t.Errorf("second start: %v, want a conflict", err)
		}
	}
	again, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Dedupe: key("1")})
	if err != nil || !again.Duplicate || again.Run != first.Run {
		t.Errorf("the first delivery again: %+v, %v", again, err)
	}
	g.hold <- struct{}{}
	w.ends(runs.Succeeded, first.Run)
	g.hold <- struct{}{}
	third, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Dedupe: key("2")})
	if err != nil || third.Duplicate {
		t.Fatalf("start with a free slot: %+v, %v", third, err)
	}
	w.ends(runs.Succeeded, third.Run)
	if list, err := w.engine.Runs(context.Background(), runs.Filter{Workflow: id}); err != nil || len(list) != 2 {
		t.Errorf("%d runs, %v; want 2", len(list), err)
	}
	w.noSlots()
}

// A schedule's occurrence that finds no slot is recorded as skipped, whichever limit it is.
func TestConcurrencySkipsOccurrences(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("one", `{"limit": 1, "on_limit": "skip"}`)
	first := w.start(id, "")
	occurrence := engine.Start{
		Workflow: id, Trigger: runs.TriggerRef{ID: "tick", Type: "cron"},
		Dedupe: &runs.DedupeKey{Kind: "cron", Trigger: "tick", Key: "1", ExpiresAt: epochEnd},
	}
	started, err := w.engine.Start(context.Background(), occurrence)
	if err != nil || !started.Skipped || started.Run != (runs.ID{}) {
		t.Errorf("occurrence: %+v, %v; want it skipped", started, err)
	}
	g.hold <- struct{}{}
	w.ends(runs.Succeeded, first)
	if started, err = w.engine.Start(context.Background(), occurrence); err != nil || !started.Skipped || !started.Duplicate {
		t.Errorf("occurrence again: %+v, %v; want it skipped for good", started, err)
	}
	w.noSlots()
}

func TestConcurrencyCancelsTheOldest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("two", `{"limit": 2, "on_limit": "cancel_oldest"}`)
	var list []runs.ID
	for n := range 6 {
		list = append(list, w.start(id, fmt.Sprintf(`{"n": %d}`, n)))
	}
	w.ends(runs.Canceled, list[:4]...)
	w.eventually("the last two are at work", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.at["a"] == 2 && slices.Contains(g.order, any(5)) && slices.Contains(g.order, any(4))
	})
	g.hold <- struct{}{}
	g.hold <- struct{}{}
	w.ends(runs.Succeeded, list[4:]...)
	if g.max["a"] > 2 {
		t.Errorf("%d at once", g.max["a"])
	}
	w.noSlots()
}

// A slot is held while a run waits, and given back by every end.
func TestConcurrencyHoldsWhileWaiting(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "asks", "concurrency": {"limit": 1}, "nodes": {"ok": {"type": "approval", "with": {"message": "go?"}}}}`)
	list := []runs.ID{w.start(id, ""), w.start(id, ""), w.start(id, ""), w.start(id, "")}
	asks := func(run runs.ID) func() bool {
		return func() bool { return w.steps(run)["ok"].Status == runs.StepWaiting }
	}
	w.eventually("the first asks", asks(list[0]))
	if err := w.engine.Cancel(context.Background(), list[2]); err != nil { // waits for its slot
		t.Fatal(err)
	}
	w.ends(runs.Canceled, list[2])
	if err := w.engine.Cancel(context.Background(), list[0]); err != nil { // holds it
		t.Fatal(err)
	}
	w.eventually("the second asks", asks(list[1]))
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	if !w.inLine(list[3]) || w.inLine(list[1]) {
		t.Error("after a crash the wrong run waits")
	}
	if err := w.engine.Deliver(context.Background(), list[1], "ok", nodes.CodeWaitsForApproval, map[string]any{"approved": true}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the last asks", asks(list[3]))
	if err := w.engine.Deliver(context.Background(), list[3], "ok", nodes.CodeWaitsForApproval, map[string]any{"approved": false}); err != nil {
		t.Fatal(err)
	}
	w.wait(list[3])
	w.noSlots()
}

// A higher limit lets those go on who wait, without another start.
func TestConcurrencyEdit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("edited", `{"limit": 1}`)
	var list []runs.ID
	for range 6 {
		list = append(list, w.start(id, ""))
	}
	w.eventually("one is at work", func() bool { return g.inside("a") == 1 })
	w.limited("edited", `{"limit": 3}`)
	w.kill()
	w.boot(engine.Options{Exclusive: true}) // sweeps
	w.eventually("three are at work", func() bool { return g.inside("a") >= 3 })
	w.limited("edited", `{"limit": 2}`)
	list = append(list, w.start(id, "")) // brings the new limit
	for range 8 {
		g.hold <- struct{}{}
	}
	w.ends(runs.Succeeded, list...)
	w.noSlots()
}

// Where a run that failed starts another, the limit of that one counts too.
func TestConcurrencyOfOnFailure(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	notify := w.limited("notify", `{"limit": 1}`)
	id := w.apply(`{"id": "bad", "on_failure": "notify", "nodes": {"a": {"type": "fail", "with": {"message": "no"}}}}`)
	w.ends(runs.Failed, w.start(id, ""), w.start(id, ""), w.start(id, ""))
	for range 3 {
		g.hold <- struct{}{}
	}
	w.eventually("three were started", func() bool {
		list, err := w.engine.Runs(context.Background(), runs.Filter{Workflow: notify, Status: runs.Succeeded})
		return err == nil && len(list) == 3
	})
	if g.max["a"] != 1 {
		t.Errorf("%d at once", g.max["a"])
	}
	w.noSlots()
}

func TestConcurrencyOfRetries(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.apply(`{"id": "bad", "concurrency": {"limit": 1}, "nodes": {"a": {"type": "call", "with": {"name": "a"}}, "b": {"type": "fail", "needs": ["a"], "with": {"message": "no"}}}}`)
	g.hold <- struct{}{}
	failed := w.start(id, "")
	w.ends(runs.Failed, failed)
	first := w.start(id, "")
	again, err := w.engine.Retry(context.Background(), engine.Retry{Run: failed})
	if err != nil || again.Status != runs.Queued || !w.inLine(again.Run) {
		t.Fatalf("retry: %+v, %v; want it queued", again, err)
	}
	g.hold <- struct{}{}
	w.ends(runs.Failed, first, again.Run)
	if w.count("a") != 2 {
		t.Errorf("%d calls; want 2: the retry keeps the step", w.count("a"))
	}
	w.noSlots()
}

// epochEnd is far enough in the future for every key.
var epochEnd = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
