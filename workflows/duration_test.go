package workflows_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyflow/workflows"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want time.Duration
		form string
	}{
		{"30s", 30 * time.Second, "30s"},
		{"0s", 0, "0s"},
		{"0", 0, "0s"},
		{"1.5h", 90 * time.Minute, "1h30m"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"1h0m5s", time.Hour + 5*time.Second, "1h0m5s"},
		{"2d", 48 * time.Hour, "2d"},
		{"1d12h", 36 * time.Hour, "1d12h"},
		{"0.5d", 12 * time.Hour, "12h"},
		{"24h", 24 * time.Hour, "1d"},
		{"250ms", 250 * time.Millisecond, "250ms"},
		{"1d1ns", 24*time.Hour + 1, "1d1ns"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			got, err := workflows.ParseDuration(tt.text)
			if err != nil || time.Duration(got) != tt.want || got.String() != tt.form {
				t.Errorf("got %v %q, %v; want %v %q", time.Duration(got), got, err, tt.want, tt.form)
			}
		})
	}
}

func TestParseDurationRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "d", "5", "-5s", "+5s", "1h-5m", "5 s", "1h2d", "1dd", "NaNd", "Infd", "1e3d", "0x1d", "-1d", "1w", "200000d", "9999999h", "100000d2562047h"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if d, err := workflows.ParseDuration(text); err == nil {
				t.Errorf("got %v, want an error", d)
			}
		})
	}
}

func TestDurationJSON(t *testing.T) {
	t.Parallel()
	var got struct{ D workflows.Duration }
	if err := json.Unmarshal([]byte(`{"D": "1d30m"}`), &got); err != nil || got.D != workflows.Duration(24*time.Hour+30*time.Minute) {
		t.Errorf("got %v, %v", got.D, err)
	}
	if text, err := json.Marshal(got); err != nil || string(text) != `{"D":"1d30m"}` {
		t.Errorf("got %s, %v", text, err)
	}
	if err := json.Unmarshal([]byte(`{"D": "soon"}`), &got); err == nil {
		t.Error("want an error")
	}
}

func TestDurationStringReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := workflows.Duration(rapid.Int64Range(0, int64(10_000*24*time.Hour)).Draw(t, "d"))
		if got, err := workflows.ParseDuration(d.String()); err != nil || got != d {
			t.Fatalf("%s read back as %d, %v; want %d", d, got, err, d)
		}
	})
}
