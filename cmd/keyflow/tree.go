package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// tree shows the steps of a run as they change: in place on a terminal, else one line per step and
// state.
type tree struct {
	w     io.Writer
	live  bool
	steps []stepItem
	at    map[string]int
	drawn int // lines on the terminal
}

func newTree(w io.Writer, workflow string) *tree {
	f, ok := w.(*os.File)
	t := &tree{w: w, live: ok && term.IsTerminal(int(f.Fd())), at: map[string]int{}}
	_, _ = fmt.Fprintln(w, oneLine(workflow))
	return t
}

// maxLive is how many lines are redrawn in place; more would scroll the terminal.
const maxLive = 40

func (t *tree) step(s stepItem) {
	key := s.Node
	if s.Index != nil {
		key = fmt.Sprintf("%s[%d]", s.Node, *s.Index)
	}
	i, known := t.at[key]
	if !known {
		i = len(t.steps)
		t.at[key] = i
		t.steps = append(t.steps, stepItem{})
	}
	changed := t.steps[i].Status != s.Status || t.steps[i].Attempt != s.Attempt
	t.steps[i] = s
	switch {
	case !changed:
	case t.live && len(t.steps) <= maxLive:
		t.draw()
	case s.Status != "pending":
		_, _ = fmt.Fprintln(t.w, describeStep(s))
	}
}

func (t *tree) draw() {
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	for _, s := range t.steps {
		b.WriteString("\x1b[2K" + describeStep(s) + "\n")
	}
	t.drawn = len(t.steps)
	_, _ = io.WriteString(t.w, b.String())
}

func describeStep(s stepItem) string {
	marks := map[string]string{
		"pending": "·", "running": "▸", "waiting": "…", "succeeded": "✓", "failed": "✗", "skipped": "–", "canceled": "∅",
	}
	name := s.Node
	if s.Index != nil {
		name = fmt.Sprintf("  %s[%d]", s.Node, *s.Index)
	}
	text := fmt.Sprintf("  %s %-24s %-9s", marks[s.Status], name, s.Status)
	if s.FinishedAt != nil && s.StartedAt != nil {
		text += " " + span(s.StartedAt, s.FinishedAt)
	}
	if s.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", s.Attempt)
	}
	if s.Error != nil {
		text += "  " + oneLine(s.Error.Code+": "+s.Error.Message)
	}
	return text
}

// end prints the result of the run, and its output as JSON; the error has the exit code.
func (t *tree) end(out io.Writer, r runItem) error {
	_, _ = fmt.Fprintf(t.w, "run %s %s in %s\n", r.ID, r.Status, span(r.StartedAt, r.FinishedAt))
	if r.Status == "succeeded" {
		output := r.Output
		if output == nil {
			output = json.RawMessage("null")
		}
		return printJSON(out, output)
	}
	if r.Error == nil {
		return &exitError{code: exitFailed}
	}
	where := ""
	if r.Error.Node != "" {
		where = r.Error.Node + ": "
	}
	return &exitError{exitFailed, fmt.Errorf("%s%s: %s", where, r.Error.Code, oneLine(r.Error.Message))}
}
