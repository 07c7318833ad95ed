package webhook

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"keyflow/internal/expression"
	"keyflow/triggers/firing"
	"keyflow/workflows"
)

// Route is one inbound webhook with everything compiled. It is immutable.
type Route struct {
	Workflow   workflows.ID
	Trigger    string
	Path       string
	Methods    []string
	Credential string // "" is public

	version  int
	folder   string
	enabled  bool
	segments []string // of Path; parameters in braces
	onFinish bool
	timeout  time.Duration
	input    *expression.Value // nil: the parsed body
	dedupe   *expression.Value // nil: no dedupe
	vars     map[string]any
}

// NewRoute compiles a webhook trigger; of a disabled workflow it keeps only the path.
func NewRoute(d *workflows.Definition, s workflows.Summary, id string) (*Route, error) {
	t := d.Triggers[id]
	r := &Route{
		Workflow: s.ID, version: s.Version, folder: s.Folder, enabled: s.Enabled, Trigger: id,
		Path: t.Path, segments: strings.Split(t.Path, "/"), Methods: t.Methods, Credential: t.Credential,
		onFinish: t.Respond == workflows.RespondOnFinish, timeout: time.Duration(t.RespondTimeout), vars: firing.Vars(d),
	}
	if !s.Enabled {
		return r, nil
	}
	if t.HasInput {
		input, errs := expression.CompileValue(t.Input, firing.Scope())
		if len(errs) > 0 {
			return nil, errs[0]
		}
		r.input = input
	}
	if t.Dedupe != "" {
		dedupe, errs := expression.CompileValue(t.Dedupe, firing.Scope())
		if len(errs) > 0 {
			return nil, errs[0]
		}
		r.dedupe = dedupe
	}
	return r, nil
}

// IsParameter reports whether a segment of a declared path is a parameter.
func IsParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

// Shape is the path with unnamed parameters: two triggers of the same shape match the same calls.
func Shape(path string) string {
	if !strings.Contains(path, "{") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if IsParameter(s) {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// Routes finds the webhook for a path: exact paths first, then those with parameters,
// literal segments before parameters from the left. It is safe for concurrent use.
type Routes struct {
	mu       sync.RWMutex
	exact    map[string][]*Route // more than one only when two were stored at the same moment
	patterns map[int][]*Route    // with parameters, by number of segments
}

// NewRoutes returns routes to nothing.
func NewRoutes() *Routes {
	return &Routes{exact: make(map[string][]*Route), patterns: make(map[int][]*Route)}
}

// Replace removes old routes and adds fresh ones, as one change.
func (x *Routes) Replace(old, fresh []*Route) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range old {
		drop := func(o *Route) bool { return o == r }
		if strings.Contains(r.Path, "{") {
			x.patterns[len(r.segments)] = slices.DeleteFunc(x.patterns[len(r.segments)], drop)
			continue
		}
		if x.exact[r.Path] = slices.DeleteFunc(x.exact[r.Path], drop); len(x.exact[r.Path]) == 0 {
			delete(x.exact, r.Path)
		}
	}
	for _, r := range fresh {
		if strings.Contains(r.Path, "{") {
			list := append(x.patterns[len(r.segments)], r)
			slices.SortFunc(list, func(a, b *Route) int { return strings.Compare(order(a), order(b)) })
			x.patterns[len(r.segments)] = list
			continue
		}
		x.exact[r.Path] = append(x.exact[r.Path], r)
		slices.SortFunc(x.exact[r.Path], func(a, b *Route) int { return strings.Compare(order(a), order(b)) })
	}
}

// order sorts literal segments before parameters, then by workflow.
func order(r *Route) string {
	return strings.ReplaceAll(Shape(r.Path), "{}", "\x7f") + "\x00" + string(r.Workflow) + "\x00" + r.Trigger
}

// find returns the route of an enabled workflow for the path of a request line, with decoded
// parameters. Another spelling of a path is another path.
func (x *Routes) find(escaped string) (*Route, map[string]any) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, r := range x.exact[escaped] {
		if r.enabled {
			return r, nil
		}
	}
	if len(x.patterns) == 0 {
		return nil, nil
	}
	segments := strings.Split(escaped, "/")
	for _, r := range x.patterns[len(segments)] {
		if params, ok := r.match(segments); ok && r.enabled {
			return r, params
		}
	}
	return nil, nil
}

// match decodes parameters. An empty one, or one that is more than a segment, does not match.
func (r *Route) match(segments []string) (map[string]any, bool) {
	params := make(map[string]any)
	for i, want := range r.segments {
		if !IsParameter(want) {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" || value == "." || value == ".." || strings.ContainsAny(value, "/\\\x00") {
			return nil, false
		}
		params[strings.Trim(want, "{}")] = value
	}
	return params, true
}

// Taken returns the workflow, other than except, that has a webhook of the same shape.
func (x *Routes) Taken(path string, except workflows.ID) (workflows.ID, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.exact[path]
	if strings.Contains(path, "{") {
		list = x.patterns[strings.Count(path, "/")+1]
	}
	for _, r := range list {
		if r.Workflow != except && Shape(r.Path) == Shape(path) {
			return r.Workflow, true
		}
	}
	return "", false
}
