package standard_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes/nodetest"
)

func TestTransform(t *testing.T) {
	t.Parallel()
	for _, value := range []any{nil, 1, "a", map[string]any{"a": []any{1, true}}} {
		got, err := nodetest.New(t).Run(t, typeOf(t, "transform"), map[string]any{"value": value})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value, got); diff != "" {
			t.Error(diff)
		}
	}
}
