package workflows

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads Go's duration syntax with d for 24 hours in front: "90s", "1d12h",
// "1.5d". Negative durations are refused.
func ParseDuration(s string) (Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "", s
	}
	var total time.Duration
	if found {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || strings.ContainsAny(days, "eExXpPnN+-_") || n > maxDays {
			return 0, durationError(s)
		}
		total = time.Duration(n * float64(day))
	}
	if rest != "" || !found {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || rest[0] == '-' || rest[0] == '+' || total+d < total {
			return 0, durationError(s)
		}
		total += d
	}
	return Duration(total), nil
}

// maxDays keeps every duration inside 64 bits of nanoseconds.
const maxDays = 100_000

func durationError(s string) error {
	return fmt.Errorf("%s is not a duration; write a number and a unit, for example \"30s\", \"5m\", \"1h30m\" or \"2d\"", strconv.Quote(clip(s, 40)))
}

// String writes the shortest form that ParseDuration reads back: "1d12h", "30s", "0s".
func (d Duration) String() string {
	t := time.Duration(d)
	if t == 0 {
		return "0s"
	}
	var b strings.Builder
	if n := t / day; n > 0 {
		fmt.Fprintf(&b, "%dd", n)
		t %= day
	}
	if t == 0 {
		return b.String()
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	b.WriteString(s)
	return b.String()
}

// MarshalText implements encoding.TextMarshaler, so that JSON shows the text form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
