package standard

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

// What waits for a time holds it against the clock of the engine, which made the time.
func TestWaitsByTheClockOfTheEngine(t *testing.T) {
	t.Parallel()
	ready := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC) // not now, by any other clock
	approval := nodes.Park{Until: ready.Add(time.Minute), For: nodes.CodeWaitsForApproval}
	for name, tt := range map[string]struct {
		node nodes.Type
		with map[string]any
		now  time.Time
		want nodes.Result
	}{
		"wait, too early": {waitType(), map[string]any{"for": time.Minute}, ready.Add(time.Minute - 1),
			nodes.Park{Until: ready.Add(time.Minute), Message: "waits until 2031-05-06T07:09:09Z"}},
		"wait, due":           {waitType(), map[string]any{"for": time.Minute}, ready.Add(time.Minute), nodes.Done{Output: map[string]any{"until": "2031-05-06T07:09:09Z"}}},
		"approval, too early": {approvalType(), map[string]any{"timeout": time.Minute}, ready.Add(time.Minute - 1), approval},
		"approval, late": {approvalType(), map[string]any{"timeout": time.Minute, "on_timeout": "reject"}, ready.Add(time.Minute), nodes.Done{Output: map[string]any{
			"approved": false, "by": nil, "comment": "nobody decided in time", "at": "2031-05-06T07:09:09Z"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.node.New().Run(t.Context(), &nodetest.Env{Ready: ready}, nodes.Input{With: tt.with, Now: tt.now})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWaitRefusesMethodsWithoutACallback(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		given []string
		want  string
	}{
		"with callback":    {[]string{"callback", "methods"}, ""},
		"without callback": {[]string{"for", "methods"}, "methods needs callback: true"},
	} {
		got := waitType().Check(func(name string) bool { return slices.Contains(tt.given, name) })
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
