package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// clockEvery is how often the file of a test clock is read again at most.
const clockEvery = 100 * time.Millisecond

// testClock is the clock of KEYFLOW_TEST_CLOCK_OFFSET, for tests that set the clock of a
// process: a duration by which it is ahead ("-1h", "72h"), or a file that contains one and is read
// repeatedly. An empty offset is the machine's clock. Heartbeats and timeouts are measured in real
// time in any case.
func testClock(offset string) (func() time.Time, error) {
	if offset == "" {
		return time.Now, nil
	}
	if ahead, err := time.ParseDuration(offset); err == nil {
		return func() time.Time { return time.Now().Add(ahead) }, nil
	}
	c := &fileClock{file: offset, began: time.Now()}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("KEYFLOW_TEST_CLOCK_OFFSET is neither a duration nor a file that contains one: %w", err)
	}
	return c.now, nil
}

// fileClock is ahead by the duration in a file. It is safe for concurrent use.
type fileClock struct {
	file  string
	began time.Time
	ahead atomic.Int64
	next  atomic.Int64 // when the file is read again, in nanoseconds after began
}

func (c *fileClock) now() time.Time {
	now := time.Now()
	due, since := c.next.Load(), int64(now.Sub(c.began))
	if since >= due && c.next.CompareAndSwap(due, since+int64(clockEvery)) {
		_ = c.read() // partly written: the offset stays as it was
	}
	return now.Add(time.Duration(c.ahead.Load()))
}

func (c *fileClock) read() error {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return err
	}
	ahead, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	c.ahead.Store(int64(ahead))
	return nil
}
