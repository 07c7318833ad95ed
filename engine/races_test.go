package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// race is two facts that want to decide about one run.
type race struct {
	name       string
	definition string // its input is {"key": "a text of the round"}
	waits      string // the step whose state says that the race can begin
	sides      [2]side
	won        [2]string // how the run ends when the first, or the second, side won
	strict     bool      // the loser is always refused; else it may also be accepted and have no effect
}

// side is one of the two. It returns once its fact is stored, or refused with a Conflict.
type side struct {
	do        func(r *round) error
	refusable bool // false: time, or the end of a step, which nobody can refuse
	time      bool // it is the time itself
}

// round is one run that is raced about.
type round struct {
	*world
	race    *race
	engines [2]*engine.Engine
	number  int
	id      workflows.ID
	key     string
	mode    int
	run     runs.ID
	due     time.Time
	late    bool          // the time was over before the race could begin
	ordered bool          // the first side had its effect before the other began
	gate    chan struct{} // lets the step at work end
}

// The modes of a round: one side after the other has had its effect, one right after the
// other, and both at once.
const (
	firstThenSecond = iota
	secondThenFirst
	firstThenSecondAtOnce
	secondThenFirstAtOnce
	together // and all above
	rounds   = 12
)

const (
	asks = `{"id": "ask", "nodes": {
		"w": {"type": "approval", "with": {"message": "go?", "timeout": "%s", "on_timeout": "reject"}},
		"after": {"type": "call", "needs": ["w"], "with": {"name": "after-{{ input.key }}"}}}, "output": "{{ nodes.w.output.by }}"}`
	calls = `{"id": "called", "nodes": {
		"w": {"type": "wait", "with": {"callback": true, "for": "%s"}},
		"after": {"type": "call", "needs": ["w"], "with": {"name": "after-{{ input.key }}"}}}, "output": "{{ nodes.w.output.body.n }}"}`
	parks = `{"id": "parks", "nodes": {
		"w": {"type": "call", "with": {"name": "{{ input.key }}", "arg": "%s"}, "retry": {"max_attempts": 2, "initial": "%s", "max": "1h"}},
		"after": {"type": "call", "needs": ["w"], "with": {"name": "after-{{ input.key }}"}}}, "output": "1"}`
	holds = `{"id": "holds", "needs_connect_timeout": "%s", "nodes": {
		"w": {"type": "call", "with": {"name": "{{ input.key }}", "arg": "hold"}},
		"after": {"type": "call", "needs": ["w"], "with": {"name": "after-{{ input.key }}"}}}, "output": "1"}`
	parents = `{"id": "parent", "nodes": {
		"w": {"type": "workflow", "with": {"workflow": "gated", "input": {"key": "{{ input.key }}"}}},
		"after": {"type": "call", "needs": ["w"], "with": {"name": "after-{{ input.key }}"}}}, "output": "1"}`
	gated = `{"id": "gated", "nodes": {"w": {"type": "call", "with": {"name": "{{ input.key }}", "arg": "gate"}}}, "output": "1"}`
)

func theRaces() []race {
	refusable := func(do func(r *round) error) side { return side{do: do, refusable: true} }
	approve := refusable(deliver(0, nodes.CodeWaitsForApproval, map[string]any{"approved": true, "by": "ann"}))
	reject := refusable(deliver(1, nodes.CodeWaitsForApproval, map[string]any{"approved": false, "by": "bob"}))
	one, two := refusable(deliver(0, nodes.CodeWaitsForCallback, body(1))), refusable(deliver(1, nodes.CodeWaitsForCallback, body(2)))
	cancel := refusable(func(r *round) error { return r.engines[1].Cancel(r.Context(), r.run) })
	timeout, end, connect := side{do: (*round).passTime, time: true}, side{do: (*round).open}, side{do: (*round).connect}
	const soon, never, canceled = "1100ms", "1h", "canceled "
	return []race{
		{"approve, timeout", fmt.Sprintf(asks, soon), "w", [2]side{approve, timeout}, [2]string{`succeeded "ann"`, `succeeded null`}, true},
		{"approve, reject", fmt.Sprintf(asks, never), "w", [2]side{approve, reject}, [2]string{`succeeded "ann"`, `succeeded "bob"`}, true},
		{"approve, cancel", fmt.Sprintf(asks, never), "w", [2]side{approve, cancel}, [2]string{`succeeded "ann"`, canceled}, false},
		{"callback, cancel", fmt.Sprintf(calls, never), "w", [2]side{one, cancel}, [2]string{`succeeded 1`, canceled}, false},
		{"callback, timeout", fmt.Sprintf(calls, soon), "w", [2]side{one, timeout}, [2]string{`succeeded 1`, "failed "}, true},
		{"callback, callback", fmt.Sprintf(calls, never), "w", [2]side{one, two}, [2]string{`succeeded 1`, `succeeded 2`}, true},
		{"child end, cancel", parents, "w", [2]side{end, cancel}, [2]string{`succeeded "1"`, canceled}, false},
		{"end, cancel", strings.Replace(gated, "gated", "ends", 1), "", [2]side{end, cancel}, [2]string{`succeeded "1"`, canceled}, false},
		{"retry due, cancel", fmt.Sprintf(parks, "second", "60ms"), "w", [2]side{timeout, cancel}, [2]string{`succeeded "1"`, canceled}, false},
		{"parked retry due, cancel", fmt.Sprintf(parks, "second", soon), "w", [2]side{timeout, cancel}, [2]string{`succeeded "1"`, canceled}, false},
		{"connected, cancel", fmt.Sprintf(holds, never), "w", [2]side{connect, cancel}, [2]string{`succeeded "1"`, canceled}, false},
		{"connected, hold timeout", fmt.Sprintf(holds, soon), "w", [2]side{connect, timeout}, [2]string{`succeeded "1"`, "failed "}, false},
	}
}

// TestSignalRaces lets every pair of facts compete about runs that are parked or at work, in one
// process on SQLite and in two on Postgres: exactly one wins, the other is refused or has no
// effect, every run ends, and what follows runs once or not at all.
func TestSignalRaces(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		for _, r := range theRaces() {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				w := setupOn(t, open())
				engines := [2]*engine.Engine{w.engine, w.engine}
				if w.db.Dialect() == database.Postgres {
					w.boot(engine.Options{})
					engines[1] = w.engine
				}
				gates := map[string]chan struct{}{}
				for i := range rounds {
					gates[fmt.Sprint("round-", i)] = make(chan struct{})
				}
				w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) { return w.raced(ctx, env, c, gates) }
				w.apply(gated)
				id := w.apply(r.definition)
				var all sync.WaitGroup
				for i := range rounds {
					key := fmt.Sprint("round-", i)
					all.Go(func() {
						(&round{world: w, race: &r, engines: engines, number: i, id: id, key: key, mode: min(i, together), gate: gates[key]}).play()
					})
				}
				all.Wait()
			})
		}
	})
}

// raced is what the calls of all rounds do.
func (w *world) raced(ctx context.Context, env nodes.Env, c call, gates map[string]chan struct{}) (any, error) {
	switch {
	case c.arg == "gate":
		select {
		case <-gates[c.name]:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case c.arg == "hold":
		return nil, w.persons.use(credentials.ID(c.name))
	case c.arg == "second" && env.Attempt() == 1:
		return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "refused"}
	}
	return c.arg, nil
}

func deliver(by int, reason string, what map[string]any) func(*round) error {
	return func(r *round) error { return r.engines[by].Deliver(r.Context(), r.run, "w", reason, what) }
}

// passTime returns when the step's time is over, or about then when both are raced.
func (r *round) passTime() error {
	<-time.After(time.Until(r.due))
	return nil
}

// open lets the step at work end.
func (r *round) open() error {
	close(r.gate)
	return nil
}

// connect makes the credential of the round usable, and says so to both processes.
func (r *round) connect() error {
	r.persons.come(credentials.ID(r.key))
	for _, e := range r.engines {
		e.CredentialConnected(credentials.ID(r.key))
	}
	return nil
}

// play takes a run to the point where the race begins, races, and judges.
func (r *round) play() {
	r.persons.leave(credentials.ID(r.key))
	started, err := r.engines[0].Start(r.Context(), engine.Start{Workflow: r.id, Input: fmt.Appendf(nil, `{"key": %q}`, r.key)})
	if err != nil {
		r.Error(err)
		return
	}
	r.run = started.Run
	begun := r.eventually("the race can begin", func() bool {
		_, steps, err := r.engines[0].Run(r.Context(), r.run)
		i := slices.IndexFunc(steps, func(s runs.Step) bool { return s.Node == "w" })
		if err != nil || i < 0 {
			return false
		}
		step := steps[i]
		if step.DueAt != nil && time.Until(*step.DueAt) < time.Minute {
			r.due = *step.DueAt
		}
		r.late = step.Status.Final()
		return r.late || step.Status == runs.StepWaiting || r.race.waits == "" && r.count(r.key) == 1
	})
	if !begun {
		return
	}
	var errs [2]error
	act := func(i int) { errs[i] = r.race.sides[i].do(r) }
	inTime := func() bool { return !r.late && (r.due.IsZero() || time.Now().Before(r.due)) }
	switch first := r.mode % 2; r.mode {
	case firstThenSecond, secondThenFirst:
		act(first)
		side, soon := r.race.sides[first], inTime()
		if !r.eventually("the first side has its effect", r.over) {
			return
		}
		// A signal stored by another process may come to its owner after the time.
		r.ordered = side.time || inTime() || soon && !side.refusable
		act(1 - first)
	case firstThenSecondAtOnce, secondThenFirstAtOnce:
		act(first)
		act(1 - first)
	default:
		var both sync.WaitGroup
		for i := range 2 {
			both.Go(func() {
				if !r.due.IsZero() { // a side that is about time is met at its time
					<-time.After(time.Until(r.due) + time.Duration(r.number-rounds+4)*2*time.Millisecond)
				}
				act(i)
			})
		}
		both.Wait()
	}
	r.judge(errs)
}

// judge says what is wrong with how the run ended.
func (r *round) judge(errs [2]error) {
	if !r.eventually("the run ends", r.over) {
		return
	}
	run, steps, err := r.engines[0].Run(r.Context(), r.run)
	if err != nil {
		r.Error(err)
		return
	}
	got := fmt.Sprintf("%s %s", run.Status, run.Output)
	winner := 0
	switch got {
	case r.race.won[0]:
	case r.race.won[1]:
		winner = 1
	default:
		r.Errorf("%s: the run ended %s (%+v)", r.key, got, run.Error)
		return
	}
	if r.ordered && winner != r.mode {
		r.Errorf("%s: side %d came first, and side %d won", r.key, r.mode, winner)
	}
	if errs[winner] != nil {
		r.Errorf("%s: side %d won and got %v", r.key, winner, errs[winner])
	}
	loser := 1 - winner
	refused := fault.Is(errs[loser], fault.Conflict)
	if errs[loser] != nil && !refused || !refused && r.race.sides[loser].refusable && (r.race.strict || r.ordered) {
		r.Errorf("%s: side %d lost and got %v", r.key, loser, errs[loser])
	}
	calls := r.count("after-" + r.key)
	if follows := r.race.waits != ""; follows && (calls > 1 || calls == 0 && run.Status == runs.Succeeded || calls == 1 && run.Status == runs.Failed) {
		r.Errorf("%s: the run is %s, and what follows was called %d times", r.key, run.Status, calls)
	}
	for _, step := range steps {
		if !step.Status.Final() {
			r.Errorf("%s: the run ended with step %s that is %s", r.key, step.Node, step.Status)
		}
	}
}

// over reports whether the run has ended.
func (r *round) over() bool {
	run, _, err := r.engines[0].Run(r.Context(), r.run)
	return err == nil && run.Status.Final()
}

// eventually is that of world for a round, which is not the goroutine of its test.
func (r *round) eventually(what string, ok func() bool) bool {
	timeout := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			r.Errorf("%s: not within a minute: %s", r.key, what)
			return false
		}
	}
	return true
}
