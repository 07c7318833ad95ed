// Package firing has what all kinds of triggers share when they start a run: what their templates
// may read, how long a start may take, and which failures are temporary. It must not know any kind
// of trigger.
package firing

import (
	"log/slog"
	"time"

	"keyflow/engine/plan"
	"keyflow/internal/expression"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

const (
	// DedupeFor is how long the key of an occurrence or delivery is kept at least.
	DedupeFor = 24 * time.Hour
	// StoreWithin is how long a run may take to be stored.
	StoreWithin = 30 * time.Second
	// LoadWithin is how long a sender waits while this process loads the workflows.
	LoadWithin = 5 * time.Second
	// Parallel is how many runs are started at once.
	Parallel = 64
	// DepthHeader carries how many workflow starts led to a request that Keyflow sends.
	DepthHeader = "Keyflow-Depth"
)

// Temporary reports whether a start may succeed later although nobody changes anything.
func Temporary(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Unavailable || kind == fault.Internal || kind == fault.RateLimited
}

// Reference is a trigger's name in log lines.
func Reference(workflow workflows.ID, trigger string) slog.Attr {
	return slog.String("trigger", string(workflow)+"/"+trigger)
}

// Time is a time as expressions see it.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Scope is what a trigger's templates may read.
func Scope() expression.Scope { return expression.Scope{Names: []string{"trigger", "vars"}} }

// CheckedScope is Scope for a trigger that is being applied: members that d's constants and
// the trigger do not have are errors, and so is callback_url.
func CheckedScope(d *workflows.Definition) expression.Scope {
	s := Scope()
	s.Callbacks = []string{}
	s.Shapes = map[string]expression.Shape{"trigger": plan.TriggerShape(), "vars": expression.ShapeOf(Vars(d))}
	return s
}

// Vars are the constants of a definition, never nil.
func Vars(d *workflows.Definition) map[string]any {
	if d.Vars == nil {
		return map[string]any{}
	}
	return d.Vars
}
