package suggest_test

import (
	"strings"
	"testing"

	"keyflow/internal/suggest"
)

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	known := []string{"key", "value", "prefix", "authorization_url"}
	tests := map[string]string{
		"kye":                   ` (did you mean "key"?)`,
		"Value":                 ` (did you mean "value"?)`,
		"prefx":                 ` (did you mean "prefix"?)`,
		"authorization_uri":     ` (did you mean "authorization_url"?)`,
		"something":             "",
		"k":                     "",
		"":                      "",
		strings.Repeat("k", 65): "",
	}
	for name, want := range tests {
		if got := suggest.DidYouMean(name, known); got != want {
			t.Errorf("DidYouMean(%q) = %q, want %q", name, got, want)
		}
	}
}
