package engine_test

import (
	"context"
	"testing"

	"keyflow/internal/egress"
	"keyflow/nodes"
)

// TestTheTimeoutOfANodeRulesItsRequests requires that no other limit than the node's own ends a
// request to an upstream that is silent.
func TestTheTimeoutOfANodeRulesItsRequests(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) { return egress.HasOwnTimeout(ctx), nil }
	w.apply(`{"id": "w", "nodes": {"a": {"type": "call", "timeout": "5m", "with": {"name": "a"}}, "b": {"type": "call", "with": {"name": "b"}}}}`)
	_, steps := w.wait(w.start("w", "{}"))
	if a, b := string(steps["a"].Output), string(steps["b"].Output); a != "true" || b != "false" {
		t.Errorf("with a timeout %s, without %s", a, b)
	}
}
