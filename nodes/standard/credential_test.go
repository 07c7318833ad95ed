package standard_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

func TestCredential(t *testing.T) {
	t.Parallel()
	fields := map[string]any{"value": "new"}
	tests := map[string]struct {
		with    map[string]any
		message string // of the refusal; "" when the vault is asked
	}{
		"test":                        {with: map[string]any{"action": "test"}},
		"refresh":                     {with: map[string]any{"action": "refresh"}},
		"rotate":                      {with: map[string]any{"action": "rotate", "fields": fields}},
		"rotate to nothing":           {with: map[string]any{"action": "rotate"}, message: "with.fields: is required by rotate: the new values"},
		"rotate to an empty object":   {with: map[string]any{"action": "rotate", "fields": map[string]any{}}, message: "with.fields: is required by rotate: the new values"},
		"fields of another action":    {with: map[string]any{"action": "test", "fields": fields}, message: "with.fields: belongs to rotate alone"},
		"no fields of another action": {with: map[string]any{"action": "refresh", "fields": map[string]any{}}, message: "with.fields: belongs to rotate alone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := nodetest.New(t)
			asked := map[string]any{}
			env.Action = func(action string, fields map[string]any) (map[string]any, error) {
				asked["action"] = action
				if fields != nil {
					asked["fields"] = fields
				}
				return map[string]any{"version": 4}, nil
			}
			out, err := env.Run(t, typeOf(t, "credential"), tt.with)
			if tt.message != "" {
				e, ok := errors.AsType[*nodes.Error](err)
				if !ok || e.Message != tt.message || e.Code != nodes.CodeInvalidParam || len(asked) != 0 {
					t.Errorf("got %v, want %q; the vault was asked for %v", err, tt.message, asked)
				}
				return
			}
			if diff := cmp.Diff(tt.with, asked); diff != "" || err != nil {
				t.Errorf("asked (-want +got), %v:\n%s", err, diff)
			}
			if diff := cmp.Diff(map[string]any{"version": 4}, out); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		env := nodetest.New(t)
		refusal := errors.New("no")
		env.Action = func(string, map[string]any) (map[string]any, error) { return nil, refusal }
		if _, err := env.Run(t, typeOf(t, "credential"), map[string]any{"action": "test"}); !errors.Is(err, refusal) {
			t.Errorf("got %v", err)
		}
	})
}
