//go:build unix

package main

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// start is what the driver knows of one start that it asked for, once or again and again.
type start struct {
	workflow, token string
	keyed           bool            // sent with a delivery id or Idempotency-Key, until accepted
	runs            map[string]bool // ids in the answers that accepted it
	refused         int
	unknown         int
	answered        time.Time // when the end of its run was told; zero: it was not
	told            string    // the output in that answer
	canceled        time.Time // when a cancel was accepted
	decisions       []bool    // that were accepted
	called          int       // callbacks that were accepted
	gone            int       // callbacks that were refused because one was taken before
	odd             []string  // answers that nobody should get
}

// ledger is what the driver was told. It is safe for concurrent use.
type ledger struct {
	mu     sync.Mutex
	starts map[string]*start // by token
}

func newLedger() *ledger { return &ledger{starts: map[string]*start{}} }

// open begins the page of a token.
func (l *ledger) open(workflow, token string, keyed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starts[token] = &start{workflow: workflow, token: token, keyed: keyed, runs: map[string]bool{}}
}

// note changes the page of a token; unknown tokens have none.
func (l *ledger) note(token string, change func(*start)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.starts[token]; s != nil {
		change(s)
	}
}

// pages returns a copy of all.
func (l *ledger) pages() []start {
	l.mu.Lock()
	defer l.mu.Unlock()
	pages := make([]start, 0, len(l.starts))
	for _, token := range slices.Sorted(maps.Keys(l.starts)) {
		s := *l.starts[token]
		s.runs = maps.Clone(s.runs)
		pages = append(pages, s)
	}
	return pages
}

// expectsCallbacks reports whether some run may still ask to be called back.
func (l *ledger) expectsCallbacks() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.starts {
		if s.workflow == "callback" && s.called == 0 && s.gone == 0 {
			return true
		}
	}
	return false
}
