//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// slack is what the clocks of two processes of one machine and the way of a request may
// differ by.
const slack = 20 * time.Millisecond

// obeysWithin is how long after an accepted cancel requests may still begin: another process
// may own the run, and the one that owned it may have to be given up first.
const obeysWithin = 15 * time.Second

// leavesWithin is how long after a stopped process goes on a request may arrive that it was about
// to send when it was stopped. It cannot be called back, and its receiver knows it by its key.
const leavesWithin = 100 * time.Millisecond

// step names one step, or element of a for_each, of a run.
type step struct {
	run, node string
	index     int
}

func (s *stepView) key(run string) step {
	if s.Index == nil {
		return step{run, s.Node, 0}
	}
	return step{run, s.Node, *s.Index}
}

// oracle compares what Keyflow says with what the recorder saw. Only the recorder's own clock
// and counts decide; stored times are compared with it while the clocks were left alone.
type oracle struct {
	blame     func(format string, args ...any)
	pages     []start
	history   []runView
	calls     map[string][]call              // by run, in order
	needs     map[string]map[string][]string // by workflow and node
	callers   map[string]bool                // nodes that call the upstream, as "workflow node"
	disturbed []span
	woken     []time.Time
	steady    bool // nobody set the clocks
	missed    int  // occurrences that count as missed
}

func newOracle(r *round, history []runView, missed int) *oracle {
	o := &oracle{
		blame: r.blame, pages: r.driver.book.pages(), history: history, calls: map[string][]call{},
		disturbed: r.inst.disturbed, woken: r.inst.woken, steady: !r.fault.clocks, missed: missed,
	}
	for _, c := range r.up.recorded() {
		o.calls[c.run] = append(o.calls[c.run], c)
	}
	o.needs, o.callers = shapes()
	return o
}

// shapes returns for each node of each workflow the nodes that must have ended before it, and
// which nodes send requests.
func shapes() (needs map[string]map[string][]string, callers map[string]bool) {
	needs, callers = map[string]map[string][]string{}, map[string]bool{}
	files, _ := definitions.ReadDir("workflows")
	for _, f := range files {
		text, _ := definitions.ReadFile("workflows/" + f.Name())
		var d struct {
			ID    string
			Nodes map[string]struct {
				Type  string
				Needs []string
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			panic(fmt.Sprintf("%s: %v", f.Name(), err)) // part of this program
		}
		needs[d.ID] = map[string][]string{}
		for id, node := range d.Nodes {
			callers[d.ID+" "+id] = node.Type == "web_request" || node.Type == "webhook"
			open := slices.Clone(node.Needs)
			for len(open) > 0 {
				needs[d.ID][id] = append(needs[d.ID][id], open[0])
				open = append(open[1:], d.Nodes[open[0]].Needs...)
			}
		}
	}
	return needs, callers
}

// check blames every broken promise.
func (o *oracle) check() {
	byToken := map[string]map[string]*runView{} // by workflow and token, then by id
	known := map[string]bool{}
	for i := range o.history {
		run := &o.history[i]
		known[run.ID] = true
		key := run.Workflow + " " + run.token()
		if byToken[key] == nil {
			byToken[key] = map[string]*runView{}
		}
		byToken[key][run.ID] = run
		o.checkRun(run)
	}
	for run, calls := range o.calls {
		if !known[run] {
			o.blame("P4: run %s called the upstream (%s, token %s) and is not in the history", run, calls[0].node, calls[0].token)
		}
	}
	for i := range o.pages {
		o.checkStart(&o.pages[i], byToken)
	}
	o.checkSchedule()
	o.checkLimit()
}

// checkLimit: of the runs of "limited" with one key, each began its calls after the last call
// of the one before.
func (o *oracle) checkLimit() {
	last := map[string]time.Time{}
	var limited [][]call
	for i := range o.history {
		if calls := o.calls[o.history[i].ID]; o.history[i].Workflow == "limited" && len(calls) > 0 {
			limited = append(limited, calls)
		}
	}
	slices.SortFunc(limited, func(a, b []call) int { return a[0].began.Compare(b[0].began) })
	for _, calls := range limited {
		_, key, _ := strings.Cut(calls[0].token, "#")
		if calls[0].began.Before(last[key]) {
			o.blame("P6: run %s began while another run held its slot (key %s)", calls[0].run, key)
		}
		last[key] = calls[len(calls)-1].began
	}
}

// checkStart: what was accepted is there, once; what was refused is not.
func (o *oracle) checkStart(s *start, byToken map[string]map[string]*runView) {
	runs := byToken[s.workflow+" "+s.token]
	for id := range s.runs {
		if runs[id] == nil {
			o.blame("P4: run %s of %s (token %s) was accepted and is not in the history", id, s.workflow, s.token)
		}
	}
	for _, odd := range s.odd {
		o.blame("P8: %s (token %s)", odd, s.token)
	}
	isAccepted := len(s.runs) > 0 || !s.answered.IsZero()
	switch {
	case len(runs) > 1:
		o.blame("P6: token %s of %s has %d runs: %v", s.token, s.workflow, len(runs), ids(runs))
	case len(runs) == 0 && isAccepted:
		o.blame("P4: token %s of %s was accepted and has no run", s.token, s.workflow)
	case len(runs) == 1 && !isAccepted && s.unknown == 0:
		o.blame("P4: token %s of %s was refused %d times and has a run: %v", s.token, s.workflow, s.refused, ids(runs))
	}
	for _, run := range runs {
		o.checkAnswers(s, run)
		heir := map[string]string{"parent": "child", "failing": "rescue", "heard": "echo"}[s.workflow]
		if heir != "" && len(byToken[heir+" "+s.token]) != 1 {
			o.blame("P6: run %s of %s has %d runs of %s", run.ID, s.workflow, len(byToken[heir+" "+s.token]), heir)
		}
	}
}

func ids(runs map[string]*runView) []string {
	var list []string
	for id := range runs {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// checkAnswers: what somebody was told, or told the run, is what became of it.
func (o *oracle) checkAnswers(s *start, run *runView) {
	calls := o.calls[run.ID]
	if !s.answered.IsZero() {
		if s.told != s.token {
			o.blame("P4: the caller of run %s got %q, not its own %q", run.ID, s.told, s.token)
		}
		for _, c := range calls {
			if c.began.After(s.answered) && !o.leftOver(c) {
				o.blame("P5: run %s called %s after its end was told", run.ID, c.node)
			}
		}
	}
	if s.called > 1 {
		o.blame("P6: the callback of run %s was accepted %d times", run.ID, s.called)
	}
	if len(s.decisions) > 1 {
		o.blame("P6: %d decisions of run %s were accepted", len(s.decisions), run.ID)
	}
	if len(s.decisions) == 1 && !strings.Contains(string(run.Output), fmt.Sprintf(`"approved":%t`, s.decisions[0])) {
		o.blame("P4: the decision %t of run %s was accepted; its output is %s", s.decisions[0], run.ID, run.Output)
	}
	if s.canceled.IsZero() {
		if run.Status == "canceled" && s.unknown == 0 && s.workflow != "long" {
			o.blame("P4: nobody canceled run %s", run.ID)
		}
		return
	}
	for _, c := range calls {
		if c.began.After(s.canceled.Add(obeysWithin)) {
			o.blame("P4: run %s called %s more than %v after it was canceled", run.ID, c.node, obeysWithin)
		}
	}
}

// checkRun: it has ended, in the way that its workflow ends, and none of its steps was called
// after its result was stored, or more often than faults explain.
func (o *oracle) checkRun(run *runView) {
	want := []string{"succeeded"}
	switch run.Workflow {
	case "failing":
		want = []string{"failed"}
	case "long":
		want = append(want, "canceled")
	}
	if !slices.Contains(want, run.Status) {
		o.blame("P4: run %s of %s is %s, not %v: %s", run.ID, run.Workflow, run.Status, want, run.Error)
	}
	calls := map[step][]call{}
	for _, c := range o.calls[run.ID] {
		k := step{c.run, c.node, c.index}
		calls[k] = append(calls[k], c)
		if c.token != run.token() {
			o.blame("P4: step %v was called with token %q, not %q", k, c.token, run.token())
		}
	}
	for i := range run.Steps {
		s := &run.Steps[i]
		made := calls[s.key(run.ID)]
		switch {
		case len(made) > 0:
			o.checkCalls(run, s, made)
		case s.Status == "succeeded" && o.callers[run.Workflow+" "+s.Node]:
			o.blame("P4: step %v (%s) succeeded and was never called", s.key(run.ID), run.Workflow)
		}
	}
	o.checkOrder(run)
}

// checkCalls looks at all calls of one step.
func (o *oracle) checkCalls(run *runView, s *stepView, made []call) {
	if s.Attempt > 1 { // an attempt that took too long may be read by a busy upstream at any time
		made = slices.DeleteFunc(slices.Clone(made), func(c call) bool { return c.left })
	}
	if len(made) == 0 {
		return
	}
	if o.steady && s.FinishedAt != nil && s.Status == "succeeded" {
		for _, c := range made {
			if late := c.began.Sub(*s.FinishedAt); late > slack && !o.leftOver(c) {
				o.blame("P5: step %v (%s) was called %v after its result of %v", s.key(run.ID), run.Workflow, late, s.FinishedAt)
			}
		}
	}
	last := made[len(made)-1].began
	if run.Workflow == "once" && s.Node == "charge" && len(made) > 1 {
		o.blame("P5: step %v is at_most_once and was called %d times", s.key(run.ID), len(made))
	}
	allowed := max(s.Attempt, 1)
	for _, c := range made {
		if c.cut {
			allowed++ // the connection was cut: HTTP clients send such requests again
		}
	}
	for _, d := range o.disturbed {
		if d.from.Before(last) && d.to.Add(takesOverWithin).After(made[0].began) {
			allowed++
		}
	}
	if len(made) > allowed {
		o.blame("P5: step %v (%s, %d attempts) was called %d times; faults explain %d", s.key(run.ID), run.Workflow, s.Attempt, len(made), allowed)
	}
}

// leftOver reports whether a stopped process may have been about to make the call.
func (o *oracle) leftOver(c call) bool {
	return slices.ContainsFunc(o.woken, func(at time.Time) bool {
		after := c.began.Sub(at)
		return after >= 0 && after < leavesWithin
	})
}

// takesOverWithin is how long after a fault an owner may be given up for it.
const takesOverWithin = 10 * time.Second

// checkOrder: once a step was called, the results of all that it needs are stored: none of
// those may be called any more.
func (o *oracle) checkOrder(run *runView) {
	first := map[string]time.Time{}
	for _, c := range o.calls[run.ID] {
		if _, seen := first[c.node]; !seen {
			first[c.node] = c.began
		}
	}
	for node, began := range first {
		for _, c := range o.calls[run.ID] {
			if c.began.After(began) && !c.left && !o.leftOver(c) && slices.Contains(o.needs[run.Workflow][node], c.node) {
				o.blame("P5: step %v (%s) was called again after %s, which needs its result", step{c.run, c.node, c.index}, run.Workflow, node)
			}
		}
	}
}

// checkSchedule: from the first to the last occurrence, each second has one run or counts as
// missed, and nothing is missed but by clocks that were set.
func (o *oracle) checkSchedule() {
	seen := map[int64]string{}
	var first, last int64
	for i := range o.history {
		run := &o.history[i]
		if run.Workflow != "tick" || run.Trigger.ScheduledAt == nil {
			continue
		}
		at := run.Trigger.ScheduledAt.Unix()
		if other := seen[at]; other != "" {
			o.blame("P6: the occurrence of %v has two runs: %s and %s", run.Trigger.ScheduledAt, other, run.ID)
		}
		seen[at] = run.ID
		if first == 0 || at < first {
			first = at
		}
		last = max(last, at)
	}
	if len(seen) == 0 {
		o.blame("P6: the schedule never ran")
		return
	}
	if gone := int(last-first) + 1 - len(seen); gone != o.missed || o.steady && gone > 0 {
		o.blame("P6: of %d occurrences %d ran and %d count as missed: %d are lost", last-first+1, len(seen), o.missed, gone-o.missed)
	}
}
