package triggers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyflow/engine/runs"
	"keyflow/triggers/follow"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/triggers/webhook"
	"keyflow/workflows"
)

// Trigger is one trigger as lists show it; which fields are set depends on Type.
type Trigger struct {
	Workflow workflows.ID `json:"workflow"`
	Folder   string       `json:"folder"` // of the workflow
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Enabled  bool         `json:"enabled"`

	Schedule string      `json:"schedule,omitempty"`
	Timezone string      `json:"timezone,omitempty"`
	Next     []time.Time `json:"next,omitzero"`     // of cron, never nil there: the next five times, UTC; none when disabled
	Missed   int64       `json:"missed,omitempty"`  // occurrences that were too old to start
	Overlap  string      `json:"overlap,omitempty"` // what an occurrence does while the previous run is running
	Skipped  int64       `json:"skipped,omitempty"` // occurrences that overlap or concurrency skipped
	Waiting  *time.Time  `json:"waiting,omitempty"` // the occurrence whose run is queued behind another
	From     *time.Time  `json:"from,omitempty"`    // bounds, both inclusive
	Until    *time.Time  `json:"until,omitempty"`
	Seconds  bool        `json:"seconds,omitempty"` // the schedule has six fields

	URL        string   `json:"url,omitempty"`
	Path       string   `json:"path,omitempty"`
	Methods    []string `json:"methods,omitempty"`
	Credential string   `json:"credential,omitempty"` // "" is public

	Event  string `json:"event,omitempty"` // the type, or a pattern
	Filter string `json:"filter,omitempty"`
	// Failures since the trigger was stored or this process started.
	FilterErrors int64  `json:"filter_errors,omitempty"` // events whose filter failed, which is no match
	Refused      int64  `json:"refused,omitempty"`       // events that cannot start the workflow
	LastProblem  string `json:"last_problem,omitempty"`  // the latest of either
}

// Filter selects triggers, ordered by workflow and id.
type Filter struct {
	Folder   string // of the workflow: this one and below; "" is all
	Workflow workflows.ID
	After    string // exclusive cursor "workflow/trigger"
	Limit    int    // 0 is all
}

// nextShown is how many fire times a list shows.
const nextShown = 5

// List returns one page of the triggers of all workflows. It authorizes nobody.
func (m *Manager) List(ctx context.Context, f Filter) ([]Trigger, error) {
	var out []Trigger
	for _, id := range m.ids(f) {
		list, err := m.triggersOf(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if compareCursor(t, f.After) > 0 {
				out = append(out, t)
			}
		}
		if f.Limit > 0 && len(out) >= f.Limit {
			return out[:f.Limit], nil
		}
	}
	return out, nil
}

// compareCursor orders a trigger against a cursor "workflow/trigger".
func compareCursor(t Trigger, cursor string) int {
	workflow, id, _ := strings.Cut(cursor, "/")
	return cmp.Or(cmp.Compare(string(t.Workflow), workflow), cmp.Compare(t.ID, id))
}

// ids returns the workflows that the filter may select, in order.
func (m *Manager) ids(f Filter) []workflows.ID {
	from, _, _ := strings.Cut(f.After, "/")
	return m.follower.Select(func(id workflows.ID, w *follow.Workflow) bool {
		inFolder := f.Folder == "" || f.Folder == "/" || w.Folder == f.Folder || strings.HasPrefix(w.Folder, f.Folder+"/")
		return inFolder && string(id) >= from && (f.Workflow == "" || id == f.Workflow) && len(w.Crons)+len(w.Hooks)+len(w.Events) > 0
	})
}

func (m *Manager) triggersOf(ctx context.Context, id workflows.ID) ([]Trigger, error) {
	w := m.follower.Workflow(id)
	if w == nil {
		return nil, nil
	}
	out, err := m.crons(ctx, id, w)
	if err != nil {
		return nil, err
	}
	for _, r := range w.Hooks {
		out = append(out, Trigger{
			Type: workflows.TriggerWebhook, ID: r.Trigger,
			URL: m.public + webhook.HooksPrefix + r.Path, Path: r.Path, Methods: r.Methods, Credential: r.Credential,
		})
	}
	for _, s := range w.Events {
		t := Trigger{Type: workflows.TriggerEvent, ID: s.Trigger, Event: s.Pattern, Filter: s.Source}
		t.FilterErrors, t.Refused, t.LastProblem = s.Failures()
		out = append(out, t)
	}
	for i := range out {
		out[i].Workflow, out[i].Folder, out[i].Enabled = id, w.Folder, w.Enabled
	}
	slices.SortFunc(out, func(a, b Trigger) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// crons returns the cron triggers of a workflow with their next times.
func (m *Manager) crons(ctx context.Context, id workflows.ID, w *follow.Workflow) (out []Trigger, err error) {
	var stored []plans.Plan
	if w.Enabled && len(w.Crons) > 0 {
		if stored, err = m.planner.Plans(ctx, id); err != nil {
			return nil, err
		}
	}
	for _, c := range w.Crons {
		t := Trigger{
			Type: workflows.TriggerCron, ID: c.ID, Schedule: c.Schedule, Timezone: c.Timezone, Seconds: c.Seconds,
			Overlap: c.Overlap, From: orNil(c.From), Until: orNil(c.Until), Next: []time.Time{},
		}
		if i := slices.IndexFunc(stored, func(p plans.Plan) bool { return p.Trigger == c.ID }); i >= 0 {
			t.Missed, t.Skipped = stored[i].Missed, stored[i].Skipped
			if parsed := m.planner.Parse(id, c); parsed != nil {
				t.Next = upcoming(parsed, stored[i])
			}
		}
		if c.Overlap == workflows.OverlapQueue {
			if t.Waiting, err = m.waiting(ctx, id, c.ID); err != nil {
				return nil, err
			}
		}
		out = append(out, t)
	}
	return out, nil
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// waiting returns the planned time of the occurrence that is queued behind another, nil when none does.
func (m *Manager) waiting(ctx context.Context, id workflows.ID, trigger string) (*time.Time, error) {
	runs, err := m.starter.Runs(ctx, runs.Filter{Workflow: id, Trigger: trigger, Status: runs.Queued, Limit: 10})
	if err != nil {
		return nil, fmt.Errorf("find a waiting occurrence: %w", err)
	}
	for i := range runs {
		if runs[i].WaitsForSlot && runs[i].RetryOf == nil {
			return runs[i].Trigger.ScheduledAt, nil
		}
	}
	return nil, nil //nolint:nilnil // none waits
}

// upcoming returns the planned time and those after it.
func upcoming(s *schedule.Schedule, p plans.Plan) []time.Time {
	at := p.NextAt
	next := make([]time.Time, 0, nextShown)
	for ; !at.IsZero() && len(next) < nextShown; at = s.Next(at, p.Anchor) {
		next = append(next, at)
	}
	return next
}
