package standard_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

func TestFail(t *testing.T) {
	t.Parallel()
	_, err := nodetest.New(t).Run(t, typeOf(t, "fail"), map[string]any{"message": "no stock left"})
	want := &nodes.Error{Code: "failed", Message: "no stock left", Permanent: true}
	if diff := cmp.Diff(want, stepError(t, err)); diff != "" {
		t.Error(diff)
	}
}
