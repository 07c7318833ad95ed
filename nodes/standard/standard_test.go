package standard_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/standard"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	var names []string
	for _, kind := range standard.Types() {
		names = append(names, kind.Name)
		if kind.Summary == "" || kind.New() == nil {
			t.Errorf("%s lacks a summary or a constructor", kind.Name)
		}
		for _, p := range kind.Params {
			if p.Help == "" || p.Kind == "" {
				t.Errorf("%s.%s lacks help or kind", kind.Name, p.Name)
			}
			known := !slices.ContainsFunc(strings.Split(p.Default, ", "), func(v string) bool { return !slices.Contains(p.Enum, v) })
			if len(p.Enum) > 0 && (p.Kind != nodes.String && p.Kind != nodes.List || p.Default != "" && !known) {
				t.Errorf("%s.%s has an enum that does not fit", kind.Name, p.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"web_request", "webhook", "transform", "wait", "approval", "workflow", "respond", "emit", "credential", "fail"}, names); diff != "" {
		t.Errorf("types (-want +got), see docs/contributing/add-a-node-type.md:\n%s", diff)
	}
}

// A name from another product leads to the type, which has one name here.
func TestAliasesAreSuggested(t *testing.T) {
	t.Parallel()
	r := nodes.NewRegistry(standard.Types()...)
	for name, want := range map[string]string{
		"http": "web_request", "http_request": "web_request", "request": "web_request", "HTTP": "web_request",
		"sleep": "wait", "approve": "approval", "code": "transform", "web_requst": "web_request", "nonsense": "",
	} {
		if want != "" {
			want = ` (did you mean "` + want + `"?)`
		}
		if got := r.DidYouMean(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if _, known := r.Lookup(name); known {
			t.Errorf("%s is a type", name)
		}
	}
	owner := map[string]string{}
	for _, kind := range r.Types() {
		for _, name := range append([]string{kind.Name}, kind.Aliases...) {
			if owner[name] != "" {
				t.Errorf("%s is a name of %s and of %s", name, owner[name], kind.Name)
			}
			owner[name] = kind.Name
		}
	}
}

// A webhook is repeated without being asked to; a web request is not.
func TestRetryDefaults(t *testing.T) {
	t.Parallel()
	if got := typeOf(t, "web_request").Retry; got != (nodes.RetryDefault{}) {
		t.Errorf("web_request retries: %+v", got)
	}
	got := typeOf(t, "webhook").Retry
	if got.MaxAttempts != 5 || got.Initial.String() != "5s" || got.Factor != 5 || got.Max.String() != "10m0s" {
		t.Errorf("webhook retries: %+v", got)
	}
}
