package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// logRoom and logBytes bound the lines that wait for a slow reader.
	logRoom  = 8192
	logBytes = 4 << 20
	// logFlush is how long the process waits for such a reader at its end.
	logFlush = time.Second
)

// logPipe writes the log without waiting for its reader: when the reader is stuck, runs continue,
// and lines beyond the bounds are counted and dropped.
type logPipe struct {
	lines   chan []byte
	stop    chan struct{}
	done    chan struct{}
	waiting atomic.Int64 // bytes in lines
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
	size := int64(len(line))
	if p.waiting.Add(size) <= logBytes {
		select {
		case p.lines <- append([]byte(nil), line...): // the handler uses its buffer again
			return len(line), nil
		default:
		}
	}
	p.waiting.Add(-size)
	p.dropped.Add(1)
	return len(line), nil
}

func (p *logPipe) pump(w io.Writer) {
	defer close(p.done)
	for {
		select {
		case line := <-p.lines:
			p.pass(w, line)
		case <-p.stop:
			for len(p.lines) > 0 {
				p.pass(w, <-p.lines)
			}
			return
		}
	}
}

func (p *logPipe) pass(w io.Writer, line []byte) {
	_, _ = w.Write(line) // there is no other log
	p.waiting.Add(-int64(len(line)))
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
		Help: "Lines of the log that were dropped because its reader was too slow.",
	}, func() float64 { return float64(p.dropped.Load()) })
}
