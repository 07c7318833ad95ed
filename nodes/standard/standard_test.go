package standard_test

import (
	"slices"
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
			if len(p.Enum) > 0 && (p.Kind != nodes.String || p.Default != "" && !slices.Contains(p.Enum, p.Default)) {
				t.Errorf("%s.%s has an enum that does not fit", kind.Name, p.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"web_request", "webhook", "transform", "wait", "approval", "workflow", "respond", "emit", "credential", "fail"}, names); diff != "" {
		t.Error(diff)
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
