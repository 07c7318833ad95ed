package triggers

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
	"keyflow/workflows"
)

// subscription is one compiled event trigger. It is immutable, except for its tally.
type subscription struct {
	workflow workflows.ID
	folder   string
	trigger  string
	pattern  string
	source   string                 // of the filter
	filter   *expression.Expression // nil: every event
	input    *expression.Value      // nil: the event's data
	vars     map[string]any

	tally tally
}

// tally counts the failures of a subscription since this process loaded it.
type tally struct {
	failed, refused atomic.Int64
	last            atomic.Pointer[string] // the latest problem
}

func newSubscription(d *workflows.Definition, s workflows.Summary, id string) (*subscription, error) {
	t := d.Triggers[id]
	x := &subscription{workflow: s.ID, folder: s.Folder, trigger: id, pattern: t.Event, source: t.Filter, vars: varsOf(d)}
	if t.Filter != "" {
		filter, err := expression.Compile(t.Filter, inputScope())
		if err != nil {
			return nil, err
		}
		x.filter = filter
	}
	if t.HasInput {
		input, errs := expression.CompileValue(t.Input, inputScope())
		if len(errs) > 0 {
			return nil, errs[0]
		}
		x.input = input
	}
	return x, nil
}

// name is unique among all triggers: "workflow/trigger".
func (s *subscription) name() string { return string(s.workflow) + "/" + s.trigger }

// matches evaluates the filter; a result that is no boolean is an error.
func (s *subscription) matches(ctx context.Context, d *delivery) (bool, error) {
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
func (s *subscription) inputOf(ctx context.Context, d *delivery) ([]byte, error) {
	value := d.event.Value["data"]
	if s.input != nil {
		var err error
		if value, err = s.input.Eval(ctx, s.env(d)); err != nil {
			return nil, err
		}
	}
	return jsonvalue.Encode(value)
}

func (s *subscription) env(d *delivery) expression.Env {
	return expression.Env{Vars: map[string]any{"vars": s.vars, "trigger": map[string]any{
		"id": s.trigger, "type": workflows.TriggerEvent, "fired_at": textOf(d.fired), "event": d.event.Value,
	}}}
}

// subscriptions finds the event triggers of a type, at the cost of the matching triggers and of
// the dots in the type. It is safe for concurrent use.
type subscriptions struct {
	mu    sync.RWMutex
	exact map[string][]*subscription // by type; lists are replaced, never changed
	below map[string][]*subscription // patterns, by the text before the *
}

func newSubscriptions() *subscriptions {
	return &subscriptions{exact: map[string][]*subscription{}, below: map[string][]*subscription{}}
}

// replace removes old subscriptions and adds fresh ones, as one change.
func (x *subscriptions) replace(old, fresh []*subscription) {
	if len(old)+len(fresh) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range old {
		lists, key := x.place(s)
		if lists[key] = slices.DeleteFunc(slices.Clone(lists[key]), func(o *subscription) bool { return o == s }); len(lists[key]) == 0 {
			delete(lists, key)
		}
	}
	for _, s := range fresh {
		lists, key := x.place(s)
		at, _ := slices.BinarySearchFunc(lists[key], s, compareNames)
		lists[key] = slices.Insert(slices.Clone(lists[key]), at, s)
	}
}

func compareNames(a, b *subscription) int {
	return cmp.Or(cmp.Compare(a.workflow, b.workflow), cmp.Compare(a.trigger, b.trigger))
}

// place is the map and key of a subscription.
func (x *subscriptions) place(s *subscription) (lists map[string][]*subscription, key string) {
	if prefix, ok := strings.CutSuffix(s.pattern, "*"); ok {
		return x.below, prefix
	}
	return x.exact, s.pattern
}

// find returns the subscriptions to a type whose workflow is in a folder within reach.
func (x *subscriptions) find(name string, reach func(folder string) bool) (found []*subscription) {
	x.each(name, func(s *subscription) bool {
		if reach(s.folder) {
			found = append(found, s)
		}
		return true
	})
	slices.SortFunc(found, compareNames)
	return found
}

// wanted reports whether find would find any.
func (x *subscriptions) wanted(name string, reach func(folder string) bool) (any bool) {
	x.each(name, func(s *subscription) bool {
		any = reach(s.folder)
		return !any
	})
	return any
}

// each calls visit with the subscriptions to a type until it returns false. The pattern * does
// not match Keyflow's own events, which a trigger must name.
func (x *subscriptions) each(name string, visit func(*subscription) bool) {
	x.mu.RLock()
	lists := [][]*subscription{x.exact[name]}
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
