package triggers

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"keyflow/internal/expression"
	"keyflow/workflows"
)

// route is one inbound webhook with everything compiled. It is immutable.
type route struct {
	workflow workflows.ID
	version  int
	folder   string
	enabled  bool
	trigger  string

	path       string
	segments   []string // of path; parameters in braces
	methods    []string
	credential string
	onFinish   bool
	timeout    time.Duration
	input      *expression.Value // nil: the parsed body
	dedupe     *expression.Value // nil: no dedupe
	vars       map[string]any
}

// newRoute compiles a webhook trigger; of a disabled workflow it keeps only the path.
func newRoute(d *workflows.Definition, s workflows.Summary, id string) (*route, error) {
	t := d.Triggers[id]
	r := &route{
		workflow: s.ID, version: s.Version, folder: s.Folder, enabled: s.Enabled, trigger: id,
		path: t.Path, segments: strings.Split(t.Path, "/"), methods: t.Methods, credential: t.Credential,
		onFinish: t.Respond == workflows.RespondOnFinish, timeout: time.Duration(t.RespondTimeout), vars: varsOf(d),
	}
	if !s.Enabled {
		return r, nil
	}
	if t.HasInput {
		input, errs := expression.CompileValue(t.Input, inputScope())
		if len(errs) > 0 {
			return nil, errs[0]
		}
		r.input = input
	}
	if t.Dedupe != "" {
		dedupe, errs := expression.CompileValue(t.Dedupe, inputScope())
		if len(errs) > 0 {
			return nil, errs[0]
		}
		r.dedupe = dedupe
	}
	return r, nil
}

// isParameter reports whether a segment of a declared path is a parameter.
func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

// shape is the path with unnamed parameters: two triggers of the same shape match the same calls.
func shape(path string) string {
	if !strings.Contains(path, "{") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if isParameter(s) {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// routes finds the webhook for a path: exact paths first, then those with parameters,
// literal segments before parameters from the left. It is safe for concurrent use.
type routes struct {
	mu       sync.RWMutex
	exact    map[string][]*route // more than one only when two were stored at the same moment
	patterns map[int][]*route    // with parameters, by number of segments
}

func newRoutes() *routes {
	return &routes{exact: make(map[string][]*route), patterns: make(map[int][]*route)}
}

// replace removes old routes and adds fresh ones, as one change.
func (x *routes) replace(old, fresh []*route) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range old {
		drop := func(o *route) bool { return o == r }
		if strings.Contains(r.path, "{") {
			x.patterns[len(r.segments)] = slices.DeleteFunc(x.patterns[len(r.segments)], drop)
			continue
		}
		if x.exact[r.path] = slices.DeleteFunc(x.exact[r.path], drop); len(x.exact[r.path]) == 0 {
			delete(x.exact, r.path)
		}
	}
	for _, r := range fresh {
		if strings.Contains(r.path, "{") {
			list := append(x.patterns[len(r.segments)], r)
			slices.SortFunc(list, func(a, b *route) int { return strings.Compare(order(a), order(b)) })
			x.patterns[len(r.segments)] = list
			continue
		}
		x.exact[r.path] = append(x.exact[r.path], r)
		slices.SortFunc(x.exact[r.path], func(a, b *route) int { return strings.Compare(order(a), order(b)) })
	}
}

// order sorts literal segments before parameters, then by workflow.
func order(r *route) string {
	return strings.ReplaceAll(shape(r.path), "{}", "\x7f") + "\x00" + string(r.workflow) + "\x00" + r.trigger
}

// find returns the route of an enabled workflow for the path of a request line, with decoded
// parameters. Another spelling of a path is another path.
func (x *routes) find(escaped string) (*route, map[string]any) {
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
func (r *route) match(segments []string) (map[string]any, bool) {
	params := make(map[string]any)
	for i, want := range r.segments {
		if !isParameter(want) {
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

// taken returns another workflow's route of the same shape.
func (x *routes) taken(path string, except workflows.ID) *route {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.exact[path]
	if strings.Contains(path, "{") {
		list = x.patterns[strings.Count(path, "/")+1]
	}
	for _, r := range list {
		if r.workflow != except && shape(r.path) == shape(path) {
			return r
		}
	}
	return nil
}
