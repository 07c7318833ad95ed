package engine

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/attempt"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/nodes"
	"keyflow/workflows"
)

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	base := plan.RetryPolicy{Initial: time.Second, Factor: 2, Max: time.Minute}
	jitter, constant, huge := base, base, base
	jitter.Jitter, constant.Factor, huge.Factor = true, 1, 100
	tests := map[string]struct {
		policy  plan.RetryPolicy
		attempt int
		after   time.Duration
		roll    float64
		want    time.Duration
	}{
		"first":                       {base, 1, 0, 0, time.Second},
		"doubles":                     {base, 4, 0, 0, 8 * time.Second},
		"never over max":              {base, 50, 0, 0, time.Minute},
		"no overflow":                 {huge, 100, 0, 0, time.Minute},
		"constant":                    {constant, 9, 0, 0, time.Second},
		"Retry-After is waited for":   {base, 1, 7 * time.Second, 0, 7 * time.Second},
		"a shorter one changes none":  {base, 4, time.Second, 0, 8 * time.Second},
		"Retry-After is over max":     {base, 1, 90 * time.Second, 0, 90 * time.Second},
		"Retry-After is bounded":      {base, 1, 48 * time.Hour, 0, 24 * time.Hour},
		"jitter takes off up to half": {jitter, 2, 0, 0.999999, time.Second + 1*time.Microsecond},
		"jitter may take off nothing": {jitter, 2, 0, 0, 2 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tt.policy.Delay(tt.attempt, tt.after, tt.roll)
			if math.Abs(float64(got-tt.want)) > float64(time.Microsecond) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	webhook := nodes.RetryDefault{MaxAttempts: 5, Initial: 5 * time.Second, Factor: 5, Max: 10 * time.Minute}
	tests := map[string]struct {
		node workflows.Node
		kind nodes.RetryDefault
		want plan.RetryPolicy
	}{
		"none":         {want: plan.RetryPolicy{Attempts: 1, Initial: time.Second, Factor: 2, Max: time.Minute}},
		"of the type":  {kind: webhook, want: plan.RetryPolicy{Attempts: 5, Initial: 5 * time.Second, Factor: 5, Max: 10 * time.Minute}},
		"at most once": {node: workflows.Node{AtMostOnce: true}, kind: webhook, want: plan.RetryPolicy{Attempts: 1, Initial: 5 * time.Second, Factor: 5, Max: 10 * time.Minute}},
		"stated over the type's": {
			node: workflows.Node{Retry: &workflows.Retry{MaxAttempts: 2, Max: workflows.Duration(time.Hour), Jitter: true}}, kind: webhook,
			want: plan.RetryPolicy{Attempts: 2, Initial: 5 * time.Second, Factor: 5, Max: time.Hour, Jitter: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, plan.PolicyOf(&tt.node, tt.kind), cmp.AllowUnexported(plan.RetryPolicy{})); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTransient(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{400: false, 401: false, 404: false, 408: true, 425: true, 429: true, 499: false, 500: true, 503: true, 599: true} {
		if got := attempt.Transient(&nodes.Error{Code: nodes.CodeHTTPStatus, Status: status}); got != want {
			t.Errorf("status %d: %t, want %t", status, got, want)
		}
	}
	for code, want := range map[string]bool{
		nodes.CodeNetwork: true, nodes.CodeTimeout: true, nodes.CodeFailIf: false, nodes.CodeExpression: false,
		nodes.CodeCredentialRefused: false, nodes.CodeHostNotAllowed: false, nodes.CodeInternal: false,
	} {
		if got := attempt.Transient(&nodes.Error{Code: code}); got != want {
			t.Errorf("%s: %t, want %t", code, got, want)
		}
	}
}

// TestRunIDs are version 7, unique, and sort by creation.
func TestRunIDs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 999_000, time.UTC)
	var last string
	for i := range 2000 {
		id := runs.NewID(now.Add(time.Duration(i) * time.Microsecond)).String()
		if id <= last || id[14] != '7' || id[19] < '8' || id[19] > 'b' {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
	if got := runs.NewID(now).String()[:13]; got != "019a9f4f-7c80" && len(got) != 13 {
		t.Errorf("the id begins with %s", got)
	}
}
