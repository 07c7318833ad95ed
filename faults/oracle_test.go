//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// world is what the oracle is shown: one run of "chain" in which nothing is wrong, and what a
// case changes.
type world struct {
	oracle
	found []string
}

func fineWorld() *world {
	w := &world{}
	w.steady = true
	w.blame = func(format string, args ...any) { w.found = append(w.found, fmt.Sprintf(format, args...)) }
	w.needs, w.callers = shapes()
	w.calls = map[string][]call{}
	w.add("chain", "r1", "t1", "a", "b", "c")
	w.add("tick", "r2", "2026-11-22T20:00:00Z", "a")
	w.add("tick", "r3", "2026-11-22T20:00:01Z", "a")
	w.pages = []start{{workflow: "chain", token: "t1", keyed: true, runs: map[string]bool{"r1": true}}}
	return w
}

// at is the moment of the nth call.
func at(n int) time.Time {
	return time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
}

// add records a run whose nodes were called one after the other, a second each.
func (w *world) add(workflow, id, token string, nodes ...string) *runView {
	input, _ := json.Marshal(map[string]string{"n": token})
	run := runView{ID: id, Workflow: workflow, Status: "succeeded", Input: input}
	if workflow == "tick" {
		scheduled, _ := time.Parse(time.RFC3339, token)
		run.Trigger.ScheduledAt = &scheduled
	}
	for i, node := range nodes {
		done := at(2*i + 1)
		run.Steps = append(run.Steps, stepView{Node: node, Status: "succeeded", Attempt: 1, FinishedAt: &done})
		w.calls[id] = append(w.calls[id], call{run: id, node: node, token: token, began: at(2 * i)})
	}
	w.history = append(w.history, run)
	return &w.history[len(w.history)-1]
}

// again records one more call of a node of the first run, n seconds after the beginning.
func (w *world) again(node string, n float64) {
	w.calls["r1"] = append(w.calls["r1"], call{run: "r1", node: node, token: "t1", began: at(0).Add(time.Duration(n * float64(time.Second)))})
}

// Every kind of broken promise is found, and what may happen is not taken for one.
func TestOracle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *world)
		want   string // a part of a violation; "" is none
	}{
		"nothing wrong":                {func(*world) {}, ""},
		"an accepted run is not there": {func(w *world) { w.pages[0].runs["r9"] = true }, "run r9 of chain (token t1) was accepted and is not in the history"},
		"a refused start has a run":    {func(w *world) { w.pages[0].runs, w.pages[0].refused = nil, 2 }, "was refused 2 times and has a run"},
		"an unknown start has a run":   {func(w *world) { w.pages[0].runs, w.pages[0].unknown = nil, 1 }, ""},
		"a token has two runs":         {func(w *world) { w.add("chain", "r9", "t1", "a", "b", "c") }, "token t1 of chain has 2 runs"},
		"a run has not ended":          {func(w *world) { w.history[0].Status = "running" }, "run r1 of chain is running"},
		"a run failed for a fault":     {func(w *world) { w.history[0].Status = "failed" }, "run r1 of chain is failed"},
		"an unknown run called":        {func(w *world) { w.calls["r9"] = []call{{run: "r9", node: "a", token: "t1"}} }, "run r9 called the upstream"},
		"a result without a call":      {func(w *world) { w.calls["r1"] = w.calls["r1"][:2] }, "{r1 c 0} (chain) succeeded and was never called"},
		"called after its result":      {func(w *world) { w.again("c", 6) }, "was called 1s after its result"},
		"called after a dependent": {func(w *world) {
			w.steady = false
			w.disturbed = []span{{at(0), at(9)}}
			w.again("a", 2.5)
		}, "was called again after b, which needs its result"},
		"called twice without a fault": {func(w *world) { w.again("c", 4.5) }, "was called 2 times; faults explain 1"},
		"called twice through a fault": {func(w *world) {
			w.disturbed = []span{{at(4), at(4)}}
			w.again("c", 4.5)
		}, ""},
		"called twice in two attempts": {func(w *world) {
			w.history[0].Steps[2].Attempt = 2
			w.again("c", 4.5)
		}, ""},
		"at most once, twice": {func(w *world) {
			w.history[0].Workflow, w.pages[0].workflow = "once", "once"
			w.history[0].Steps[2].Node = "charge"
			w.disturbed = []span{{at(0), at(9)}}
			w.calls["r1"][2].node = "charge"
			w.again("charge", 4.5)
		}, "is at_most_once and was called 2 times"},
		"somebody else's answer":         {func(w *world) { w.pages[0].answered, w.pages[0].told = at(9), "t2" }, `got "t2"`},
		"called after the end was told":  {func(w *world) { w.pages[0].answered, w.pages[0].told = at(3), "t1" }, "called c after its end was told"},
		"two decisions":                  {func(w *world) { w.pages[0].decisions = []bool{true, false} }, "2 decisions of run r1"},
		"a decision that does not count": {func(w *world) { w.pages[0].decisions = []bool{true} }, "the decision true of run r1 was accepted"},
		"two callbacks":                  {func(w *world) { w.pages[0].called = 2 }, "the callback of run r1 was accepted 2 times"},
		"goes on after a cancel":         {func(w *world) { w.pages[0].canceled = at(-20) }, "after it was canceled"},
		"an answer that nobody may get":  {func(w *world) { w.pages[0].odd = []string{"answered with 500"} }, "answered with 500"},
		"a failure without its rescue": {func(w *world) {
			w.history[0].Workflow, w.history[0].Status, w.pages[0].workflow = "failing", "failed", "failing"
		}, "has 0 runs of rescue"},
		"an occurrence twice":           {func(w *world) { w.add("tick", "r9", "2026-11-22T20:00:01Z", "a") }, "has two runs"},
		"an occurrence lost":            {func(w *world) { w.add("tick", "r9", "2026-11-22T20:00:05Z", "a") }, "3 are lost"},
		"missed, the clock was set":     {func(w *world) { w.steady, w.missed = false, 3; w.add("tick", "r9", "2026-11-22T20:00:05Z", "a") }, ""},
		"missed, the clock was not set": {func(w *world) { w.missed = 3; w.add("tick", "r9", "2026-11-22T20:00:05Z", "a") }, "0 are lost"},
		"two runs in one slot": {func(w *world) {
			w.add("limited", "r8", "t8#1", "a", "b")
			w.add("limited", "r9", "t9#1", "a", "b")
		}, "while another run held its slot"},
		"two runs in two slots": {func(w *world) {
			w.add("limited", "r8", "t8#1", "a", "b")
			w.add("limited", "r9", "t9#2", "a", "b")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fineWorld()
			tt.change(w)
			w.check()
			all := strings.Join(w.found, "\n")
			if tt.want == "" && all != "" || !strings.Contains(all, tt.want) {
				t.Errorf("found %q, want %q", all, tt.want)
			}
		})
	}
}
