package execution

import (
	"strings"
	"testing"

	"keyflow/credentials"
)

// TestManyCalls: of very many calls the latest are kept.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	calls := make([]credentials.Call, 10_000)
	for i := range calls {
		calls[i] = credentials.Call{URL: "https://api.example.com/" + strings.Repeat("x", 2000), Status: i}
	}
	kept := latestCalls(calls)
	if len(kept) < 1500 || len(kept) > 2500 || kept[len(kept)-1].Status != 9999 {
		t.Errorf("%d kept", len(kept))
	}
	if got := latestCalls(calls[:1000]); len(got) != 1000 {
		t.Errorf("%d of 1000 kept", len(got))
	}
}
