package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// logRoom is how many lines wait for a reader of the log that is slow.
	logRoom = 8192
	// logFlush is how long the end of the process waits for such a reader.
	logFlush = time.Second
)

// logPipe writes the log so that nobody waits for its reader: when a reader is stuck, runs go on,
// and the lines for which there is no room are counted and dropped.
type logPipe struct {
	lines   chan []byte
	stop    chan struct{}
	done    chan struct{}
	dropped atomic.Int64
}

var _ io.Writer = (*logPipe)(nil)

func newLogPipe(w io.Writer) *logPipe {
	p := &logPipe{lines: make(chan []byte, logRoom), stop: make(chan struct{}), done: make(chan struct{})}
	go p.pump(w)
	return p
}

// Write takes one line and never blocks.
func (p *logPipe) Write(line []byte) (int, error) {
	select {
	case p.lines <- append([]byte(nil), line...): // the handler uses its buffer again
	default:
		p.dropped.Add(1)
	}
	return len(line), nil
}

func (p *logPipe) pump(w io.Writer) {
	defer close(p.done)
	for {
		select {
		case line := <-p.lines:
			_, _ = w.Write(line) // there is nobody to tell
		case <-p.stop:
			for len(p.lines) > 0 {
				_, _ = w.Write(<-p.lines)
			}
			return
		}
	}
}

// close writes what is left, unless the reader is stuck.
func (p *logPipe) close() {
	close(p.stop)
	late := time.NewTimer(logFlush)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
	}
}

// metric counts the lines that were dropped.
func (p *logPipe) metric() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "keyflow_log_lines_dropped_total",
		Help: "Lines of the log that nobody read in time.",
	}, func() float64 { return float64(p.dropped.Load()) })
}
