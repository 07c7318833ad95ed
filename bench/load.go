package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// load is what wrk saw.
type load struct {
	requests  int64
	perSecond float64
	p50, p99  time.Duration
	errors    int64
}

const script = `wrk.method = "POST"
wrk.body = '{"id": 7}'
wrk.headers["Content-Type"] = "application/json"
done = function(s, l)
  io.write(string.format("result %d %d %d %d %d\n", s.requests, s.duration, l:percentile(50), l:percentile(99),
    s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout))
end
`

var resultLine = regexp.MustCompile(`(?m)^result (\d+) (\d+) (\d+) (\d+) (\d+)$`)

// wrk puts load on a URL. Errors of the system under test are counted, not hidden.
func wrk(ctx context.Context, url string, connections, seconds int) (l load, err error) {
	file, err := os.CreateTemp("", "bench-*.lua")
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	if _, err := file.WriteString(script); err != nil {
		return l, err
	}
	if err := file.Close(); err != nil {
		return l, err
	}
	out, err := exec.CommandContext(ctx, "wrk", "-t", strconv.Itoa(min(connections, 2)), "-c", strconv.Itoa(connections),
		"-d", strconv.Itoa(seconds)+"s", "--timeout", "30s", "-s", file.Name(), url).CombinedOutput()
	if err != nil {
		return l, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	m := resultLine.FindStringSubmatch(string(out))
	if m == nil {
		return l, fmt.Errorf("wrk printed no result:\n%s", out)
	}
	n := make([]int64, len(m)-1)
	for i := range n {
		if n[i], err = strconv.ParseInt(m[i+1], 10, 64); err != nil {
			return l, err
		}
	}
	return load{
		requests: n[0], perSecond: float64(n[0]) / (float64(n[1]) / 1e6),
		p50: time.Duration(n[2]) * time.Microsecond, p99: time.Duration(n[3]) * time.Microsecond, errors: n[4],
	}, nil
}

// spreadOf is a median with its range.
type spreadOf struct{ median, min, max float64 }

func spread(rs []result, of func(result) float64) spreadOf {
	values := make([]float64, len(rs))
	for i, r := range rs {
		values[i] = of(r)
	}
	slices.Sort(values)
	n := len(values)
	return spreadOf{median: (values[(n-1)/2] + values[n/2]) / 2, min: values[0], max: values[n-1]}
}
