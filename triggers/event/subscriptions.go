package event

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"keyflow/internal/cloudevent"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/triggers/firing"
	"keyflow/workflows"
)

// Subscription is one compiled event trigger. It is immutable, except for its tally.
type Subscription struct {
	Workflow workflows.ID
	Folder   string // of the workflow
	Trigger  string
	Pattern  string // of event types
	Source   string // of the filter

	filter *expression.Expression // nil: every event
	input  *expression.Value      // nil: the event's data
	vars   map[string]any

	tally tally
}

// tally counts the failures of a subscription since this process loaded it.
type tally struct {
	failed, refused atomic.Int64
	last            atomic.Pointer[string] // the latest problem
}

// NewSubscription compiles an event trigger of a definition.
func NewSubscription(d *workflows.Definition, s workflows.Summary, id string) (*Subscription, error) {
	t := d.Triggers[id]
	x := &Subscription{Workflow: s.ID, Folder: s.Folder, Trigger: id, Pattern: t.Event, Source: t.Filter, vars: firing.Vars(d)}
	if t.Filter != "" {
		filter, err := expression.Compile(t.Filter, firing.Scope())
		if err != nil {
			return nil, err
		}
		x.filter = filter
	}
	if t.HasInput {
		input, errs := expression.CompileValue(t.Input, firing.Scope())
		if len(errs) > 0 {
			return nil, errs[0]
		}
		x.input = input
	}
	return x, nil
}

// name is unique among all triggers: "workflow/trigger".
func (s *Subscription) name() string { return string(s.Workflow) + "/" + s.Trigger }

// matches evaluates the filter; a result that is no boolean is an error.
func (s *Subscription) matches(ctx context.Context, d *delivery) (bool, error) {
	if s.filter == nil {
		return true, nil
	}
	v, err := s.filter.Eval(ctx, s.env(d))
	if err != nil {
		return false, err
	}
	wanted, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("the filter returned %T, not a boolean", v)
	}
	return wanted, nil
}

// inputOf is the input of the run that the event starts.
func (s *Subscription) inputOf(ctx context.Context, d *delivery) ([]byte, error) {
	value := d.event.Value["data"]
	if s.input != nil {
		var err error
		if value, err = s.input.Eval(ctx, s.env(d)); err != nil {
			return nil, err
		}
	}
	return jsonvalue.Encode(value)
}

func (s *Subscription) env(d *delivery) expression.Env {
	return expression.Env{Vars: map[string]any{"vars": s.vars, "trigger": map[string]any{
		"id": s.Trigger, "type": workflows.TriggerEvent, "fired_at": firing.Time(d.fired), "event": d.event.Value,
	}}}
}

// Failures returns how many events the filter failed for, how many could not start the workflow,
// and the latest problem; all since this process loaded the trigger.
func (s *Subscription) Failures() (filter, refused int64, last string) {
	if problem := s.tally.last.Load(); problem != nil {
		last = *problem
	}
	return s.tally.failed.Load(), s.tally.refused.Load(), last
}

// Subscriptions finds the event triggers of a type, at the cost of the matching triggers and of
// the dots in the type. It is safe for concurrent use.
type Subscriptions struct {
	mu    sync.RWMutex
	exact map[string][]*Subscription // by type; lists are replaced, never changed
	below map[string][]*Subscription // patterns, by the text before the *
}

// NewSubscriptions returns subscriptions to nothing.
func NewSubscriptions() *Subscriptions {
	return &Subscriptions{exact: map[string][]*Subscription{}, below: map[string][]*Subscription{}}
}

// Replace removes old subscriptions and adds fresh ones, as one change.
func (x *Subscriptions) Replace(old, fresh []*Subscription) {
	if len(old)+len(fresh) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range old {
		lists, key := x.place(s)
		if lists[key] = slices.DeleteFunc(slices.Clone(lists[key]), func(o *Subscription) bool { return o == s }); len(lists[key]) == 0 {
			delete(lists, key)
		}
	}
	for _, s := range fresh {
		lists, key := x.place(s)
		at, _ := slices.BinarySearchFunc(lists[key], s, compareNames)
		lists[key] = slices.Insert(slices.Clone(lists[key]), at, s)
	}
}

func compareNames(a, b *Subscription) int {
	return cmp.Or(cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Trigger, b.Trigger))
}

// place is the map and key of a Subscription.
func (x *Subscriptions) place(s *Subscription) (lists map[string][]*Subscription, key string) {
	if prefix, ok := strings.CutSuffix(s.Pattern, "*"); ok {
		return x.below, prefix
	}
	return x.exact, s.Pattern
}

// find returns the subscriptions to a type whose workflow is in a folder within reach.
func (x *Subscriptions) find(name string, reach func(folder string) bool) (found []*Subscription) {
	x.each(name, func(s *Subscription) bool {
		if reach(s.Folder) {
			found = append(found, s)
		}
		return true
	})
	slices.SortFunc(found, compareNames)
	return found
}

// wanted reports whether find would find any.
func (x *Subscriptions) wanted(name string, reach func(folder string) bool) (any bool) {
	x.each(name, func(s *Subscription) bool {
		any = reach(s.Folder)
		return !any
	})
	return any
}

// each calls visit with the subscriptions to a type until it returns false. The pattern * does
// not match Keyflow's own events, which a trigger must name.
func (x *Subscriptions) each(name string, visit func(*Subscription) bool) {
	x.mu.RLock()
	lists := [][]*Subscription{x.exact[name]}
	if len(x.below) > 0 {
		for i := 0; i < len(name)-1; i++ {
			if name[i] == '.' {
				lists = append(lists, x.below[name[:i+1]])
			}
		}
		if !strings.HasPrefix(name, cloudevent.Reserved) {
			lists = append(lists, x.below[""])
		}
	}
	x.mu.RUnlock()
	for _, list := range lists {
		for _, s := range list {
			if !visit(s) {
				return
			}
		}
	}
}
