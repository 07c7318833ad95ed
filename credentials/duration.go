package credentials

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a positive length of time: Go's syntax, plus d for days of 24 hours
// in front ("90d", "1d12h").
func ParseDuration(text string) (time.Duration, error) {
	rest := text
	var total time.Duration
	if days, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%.40q is not a duration such as 90d, 12h or 1d12h", text)
		}
		total, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("%.40q is not a duration such as 90d, 12h or 1d12h", text)
		}
		total += d
	}
	if total <= 0 {
		return 0, fmt.Errorf("%.40q is not longer than zero", text)
	}
	return total, nil
}
