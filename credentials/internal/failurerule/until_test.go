package failurerule_test

import (
	"testing"
	"time"

	"keyflow/credentials/internal/failurerule"
)

func TestUntil(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ until, now, want string }{
		"duration":                 {"20s", "2026-11-22T10:00:00Z", "2026-11-22T10:00:20Z"},
		"days":                     {"1d", "2026-11-22T10:00:00Z", "2026-11-23T10:00:00Z"},
		"midnight in Chicago":      {"00:00 America/Chicago", "2026-11-22T10:00:00Z", "2026-11-23T06:00:00Z"},
		"in summer":                {"00:00 America/Chicago", "2026-07-22T04:59:59Z", "2026-07-22T05:00:00Z"},
		"at that moment: tomorrow": {"00:00 America/Chicago", "2026-07-22T05:00:00Z", "2026-07-23T05:00:00Z"},
		"later today":              {"18:30 UTC", "2026-11-22T10:00:00Z", "2026-11-22T18:30:00Z"},
		"clock put back":           {"01:30 America/Chicago", "2026-11-01T00:00:00Z", "2026-11-01T06:30:00Z"},
		"clock put forward":        {"02:30 America/Chicago", "2026-03-08T05:00:00Z", "2026-03-08T07:30:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			got, err := failurerule.Until(tt.until, now)
			if err != nil || got.UTC().Format(time.RFC3339) != tt.want {
				t.Errorf("%s after %s is %s (%v), want %s", tt.until, tt.now, got, err, tt.want)
			}
		})
	}
}
