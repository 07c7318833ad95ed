package webhook

import (
	"sync"
	"time"
)

const (
	maxFailures   = 10 // refused calls of one source in a window
	failureWindow = time.Minute
	maxSources    = 10_000 // bounds the memory that callers can use
)

// limiter counts refused calls by source. It is safe for concurrent use.
type limiter struct {
	now     func() time.Time
	mu      sync.Mutex
	sources map[string]window
}

type window struct {
	began    time.Time
	failures int
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, sources: make(map[string]window)}
}

// wait is how long a source must wait before its next call is accepted; 0: it need not wait.
func (l *limiter) wait(source string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.sources[source]
	if !ok || w.failures < maxFailures {
		return 0
	}
	return max(failureWindow-l.now().Sub(w.began), 0)
}

// fail counts a refused call.
func (l *limiter) fail(source string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	w, ok := l.sources[source]
	if !ok || now.Sub(w.began) >= failureWindow {
		w = window{began: now}
	}
	w.failures++
	if !ok && len(l.sources) >= maxSources {
		l.shrink(now)
	}
	l.sources[source] = w
}

// shrink drops the windows that are over, or all when none is: memory stays bounded at the price
// of forgotten failures.
func (l *limiter) shrink(now time.Time) {
	for source, w := range l.sources {
		if now.Sub(w.began) >= failureWindow {
			delete(l.sources, source)
		}
	}
	if len(l.sources) >= maxSources {
		clear(l.sources)
	}
}
