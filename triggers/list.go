package triggers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyflow/engine/runs"
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
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ids []workflows.ID
	for id, k := range m.known {
		inFolder := f.Folder == "" || f.Folder == "/" || k.folder == f.Folder || strings.HasPrefix(k.folder, f.Folder+"/")
		if inFolder && string(id) >= from && (f.Workflow == "" || id == f.Workflow) && len(k.crons)+len(k.hooks)+len(k.events) > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *Manager) triggersOf(ctx context.Context, id workflows.ID) ([]Trigger, error) {
	m.mu.RLock()
	k := m.known[id]
	m.mu.RUnlock()
	if k == nil {
		return nil, nil
	}
	var plans []Plan
	if k.enabled && len(k.crons) > 0 {
		var err error
		if plans, err = m.store.Plans(ctx, id); err != nil {
			return nil, err
		}
	}
	var out []Trigger
	for _, c := range k.crons {
		t := c.show()
		t.Workflow, t.Folder, t.ID, t.Enabled = id, k.folder, c.id, k.enabled
		if i := slices.IndexFunc(plans, func(p Plan) bool { return p.Trigger == c.id }); i >= 0 {
			t.Missed, t.Skipped = plans[i].Missed, plans[i].Skipped
			if schedule := m.parse(id, c); schedule != nil {
				t.Next = upcoming(schedule, plans[i])
			}
		}
		if c.overlap == workflows.OverlapQueue {
			var err error
			if t.Waiting, err = m.waiting(ctx, id, c.id); err != nil {
				return nil, err
			}
		}
		out = append(out, t)
	}
	for _, r := range k.hooks {
		out = append(out, Trigger{
			Workflow: id, Folder: k.folder, ID: r.trigger, Type: workflows.TriggerWebhook, Enabled: k.enabled,
			URL: m.public + HooksPrefix + r.path, Path: r.path, Methods: r.methods, Credential: r.credential,
		})
	}
	for _, s := range k.events {
		out = append(out, s.show(k.enabled))
	}
	slices.SortFunc(out, func(a, b Trigger) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (s *subscription) show(enabled bool) Trigger {
	t := Trigger{
		Workflow: s.workflow, Folder: s.folder, ID: s.trigger, Type: workflows.TriggerEvent, Enabled: enabled,
		Event: s.pattern, Filter: s.source, FilterErrors: s.tally.failed.Load(), Refused: s.tally.refused.Load(),
	}
	if last := s.tally.last.Load(); last != nil {
		t.LastProblem = *last
	}
	return t
}

// show returns the fields that the definition sets.
func (c cronTrigger) show() Trigger {
	return Trigger{
		Type: workflows.TriggerCron, Schedule: c.Schedule, Timezone: c.Timezone, Seconds: c.Seconds, Overlap: c.overlap,
		From: orNil(c.From), Until: orNil(c.Until), Next: []time.Time{},
	}
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
func upcoming(s *Schedule, p Plan) []time.Time {
	at := p.NextAt
	next := make([]time.Time, 0, nextShown)
	for ; !at.IsZero() && len(next) < nextShown; at = s.Next(at, p.Anchor) {
		next = append(next, at)
	}
	return next
}
