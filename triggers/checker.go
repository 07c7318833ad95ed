package triggers

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"keyflow/internal/expression"
	"keyflow/triggers/firing"
	"keyflow/triggers/schedule"
	"keyflow/triggers/webhook"
	"keyflow/workflows"
)

// Routes knows the webhook paths in use; *Manager is one.
type Routes interface {
	// Taken returns the workflow, other than except, that has a webhook at this path.
	Taken(path string, except workflows.ID) (workflows.ID, bool)
}

// NewChecker returns the checker of schedules, time zones, webhook paths and templates. Without
// routes, when checking offline, paths are compared within the workflow only.
func NewChecker(routes Routes) workflows.Checker { return checker{routes} }

type checker struct{ routes Routes }

var _ workflows.Checker = checker{}

// Check implements workflows.Checker.
func (c checker) Check(_ context.Context, d *workflows.Definition) (problems, warnings []workflows.Problem) {
	paths := map[string]string{} // shape to trigger
	for _, id := range slices.Sorted(maps.Keys(d.Triggers)) {
		t, path := d.Triggers[id], "/triggers/"+id
		if t.Type == workflows.TriggerCron {
			problems = append(problems, checkSchedule(d, t, path)...)
		}
		if t.Type == workflows.TriggerWebhook && t.Path != "" {
			problems = append(problems, c.checkPath(d, t, path, paths[webhook.Shape(t.Path)])...)
			problems = append(problems, checkParameters(d, t, path)...)
			paths[webhook.Shape(t.Path)] = id
			if t.Credential == "" {
				warnings = append(warnings, d.Problemf(path, "public_webhook", "this webhook has no credential: anyone who knows its URL can start runs"))
			}
		}
		problems = append(problems, checkTemplates(d, t, path)...)
	}
	return problems, warnings
}

func checkSchedule(d *workflows.Definition, t workflows.Trigger, path string) []workflows.Problem {
	if strings.TrimSpace(t.Schedule) == "" {
		return nil // the parser has reported it
	}
	_, err := schedule.Of(t).Parse()
	if err == nil {
		return nil
	}
	if zone, ok := errors.AsType[*schedule.ZoneError](err); ok {
		problems := []workflows.Problem{d.Problemf(path+"/timezone", "invalid_timezone", "%v", zone)}
		t.Timezone = "UTC" // to find other problems
		return append(problems, checkSchedule(d, t, path)...)
	}
	if _, ok := errors.AsType[*schedule.BoundsError](err); ok {
		return []workflows.Problem{d.Problemf(path+"/until", "invalid_schedule", "%v", err)}
	}
	return []workflows.Problem{d.Problemf(path+"/schedule", "invalid_schedule", "%v", err)}
}

func (c checker) checkPath(d *workflows.Definition, t workflows.Trigger, path, sibling string) []workflows.Problem {
	if sibling != "" {
		return []workflows.Problem{d.Problemf(path+"/path", "path_taken", "the trigger %q of this workflow has the same path", sibling)}
	}
	if c.routes == nil {
		return nil
	}
	if other, ok := c.routes.Taken(t.Path, d.ID); ok {
		return []workflows.Problem{d.Problemf(path+"/path", "path_taken", "the workflow %q already has a webhook at this path; choose another path", other)}
	}
	return nil
}

// checkParameters refuses two parameters of the same name: only one value could be read.
func checkParameters(d *workflows.Definition, t workflows.Trigger, path string) []workflows.Problem {
	seen := map[string]bool{}
	for segment := range strings.SplitSeq(t.Path, "/") {
		if webhook.IsParameter(segment) && seen[segment] {
			return []workflows.Problem{d.Problemf(path+"/path", "duplicate", "the parameter %s is in the path twice; give each its own name", segment)}
		}
		seen[segment] = true
	}
	return nil
}

func checkTemplates(d *workflows.Definition, t workflows.Trigger, path string) []workflows.Problem {
	var problems []workflows.Problem
	compile := func(field string, source any) {
		_, errs := expression.CompileValue(source, firing.CheckedScope(d))
		for _, err := range errs {
			problems = append(problems, d.Problemf(path+field+err.Path, "expression", "%v", err))
		}
	}
	compile("/input", t.Input)
	compile("/dedupe", t.Dedupe)
	if t.Filter != "" {
		if _, err := expression.Compile(t.Filter, firing.CheckedScope(d)); err != nil {
			problems = append(problems, d.Problemf(path+"/filter", "expression", "%v", err))
		}
	}
	return problems
}
