package credentials_test

import (
	"testing"

	"keyflow/credentials"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"90d": "2160h0m0s", "1d12h": "36h0m0s", "15m": "15m0s", "1h30m": "1h30m0s"} {
		if got, err := credentials.ParseDuration(text); err != nil || got.String() != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"soon": `"soon" is not a duration such as 90d, 12h or 1d12h`, "-1h": `"-1h" is not longer than zero`, "0d": `"0d" is not longer than zero`,
		"1.5d": `"1.5d" is not a duration such as 90d, 12h or 1d12h`, "99999d": `"99999d" is not a duration such as 90d, 12h or 1d12h`, "": `"" is not longer than zero`,
	} {
		if got, err := credentials.ParseDuration(text); err == nil || err.Error() != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %q", text, got, err, want)
		}
	}
}
