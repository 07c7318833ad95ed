//go:build unix

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// sum is the summary of what was seen; history is nil when it could not be read.
func (r *round) sum(history []runView) summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := summary{findings: r.findings, rss: r.inst.maxRSS}
	for _, page := range r.driver.book.pages() {
		s.refused, s.unknown = s.refused+page.refused, s.unknown+page.unknown
		if len(page.runs) > 0 || !page.answered.IsZero() {
			s.accepted++
		}
		s.accepted += page.called + len(page.decisions)
		if !page.canceled.IsZero() {
			s.accepted++
		}
	}
	tries := map[step]int{}
	for i := range history {
		run := &history[i]
		s.runs++
		switch run.Status {
		case "succeeded":
			s.succeeded++
		case "failed":
			s.failed++
		case "canceled":
			s.canceled++
		}
		if run.Workflow == "tick" {
			s.cron++
		}
		if r.interrupted(run) {
			s.resumed++
		}
		for _, st := range run.Steps {
			tries[st.key(run.ID)] = max(st.Attempt, 1)
		}
	}
	calls := map[step]int{}
	for _, c := range r.up.recorded() {
		s.calls++
		calls[step{c.run, c.node, c.index}]++
	}
	for k, n := range calls {
		s.repeated += max(n-max(tries[k], 1), 0)
	}
	return s
}

// interrupted reports whether a process ended or was disturbed during the run's life.
func (r *round) interrupted(run *runView) bool {
	if run.FinishedAt == nil {
		return false
	}
	return slices.ContainsFunc(r.inst.disturbed, func(d span) bool {
		return run.CreatedAt.Add(-r.inst.ahead).Before(d.from) && run.FinishedAt.Add(-r.inst.ahead).After(d.from)
	})
}

// table adds up the rounds by fault.
type table struct {
	rows       map[string]*row
	violations int
}

type row struct {
	rounds int
	summary
}

func (t *table) add(fault string, s summary) {
	if t.rows == nil {
		t.rows = map[string]*row{}
	}
	for _, name := range []string{fault, total} {
		if t.rows[name] == nil {
			t.rows[name] = &row{}
		}
		t.rows[name].add(s)
	}
	t.violations += len(s.violations)
}

// total is the name of the last row: it sorts behind all letters.
const total = "~ all"

func (w *row) add(s summary) {
	w.rounds++
	w.injected += s.injected
	w.accepted, w.refused, w.unknown = w.accepted+s.accepted, w.refused+s.refused, w.unknown+s.unknown
	w.runs, w.succeeded, w.failed, w.canceled = w.runs+s.runs, w.succeeded+s.succeeded, w.failed+s.failed, w.canceled+s.canceled
	w.calls, w.repeated, w.resumed, w.cron = w.calls+s.calls, w.repeated+s.repeated, w.resumed+s.resumed, w.cron+s.cron
	w.recovery, w.rest, w.rss = max(w.recovery, s.recovery), max(w.rest, s.rest), max(w.rss, s.rss)
	w.violations = append(w.violations, s.violations...)
}

func (t *table) print(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "fault\trounds\tinjected\taccepted\trefused\tunknown\truns\tok\tfailed\tcanceled\tcron\tcalls\trepeated\tresumed\trecovery s\trest s\tRSS MiB\tviolations\t")
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		r := t.rows[name]
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%d\t%d\t\n", name, r.rounds, r.injected,
			r.accepted, r.refused, r.unknown, r.runs, r.succeeded, r.failed, r.canceled, r.cron, r.calls, r.repeated, r.resumed,
			r.recovery.Seconds(), r.rest.Seconds(), r.rss>>20, len(r.violations))
	}
	_ = out.Flush()
}

// tell prints a round, and how to repeat it when something was wrong.
func (r *round) tell(n int, s summary) {
	fmt.Fprintf(r.out, "round %d: %s (seed %d): %d injected, %d runs, %d calls, %d refused, recovery %.1f s, %d violations\n",
		n, r.fault.name, r.seed, s.injected, s.runs, s.calls, s.refused, s.recovery.Seconds(), len(s.violations))
	for _, note := range s.notes {
		fmt.Fprintf(r.out, "  %s\n", note)
	}
	for _, v := range s.violations[:min(len(s.violations), 30)] {
		fmt.Fprintf(r.out, "  VIOLATION %s\n", v)
	}
	if len(s.violations) == 0 {
		return
	}
	database := "sqlite"
	if r.database != "" {
		database = "postgres"
	}
	fmt.Fprintf(r.out, "  again: go run ./faults -faults %s -seed %d -duration %v -span %v -rate %d -burst %d -database %s -v (its folder: %s)\n",
		r.fault.name, r.seed, time.Second, r.span, r.rate, r.burst, database, r.dir)
}
