// Package coalesce lets many callers share reads of something that others may change. Whoever
// comes while a read of the same thing is under way shares the next one: the one under way may
// have begun before a change that the caller must see.
//
// It owns who waits for which read. It must not know what is read, and keeps no result.
package coalesce

import (
	"context"
	"sync"
)

// Reads shares reads of values by key. Its zero value is ready; it is safe for concurrent use.
type Reads[K comparable, V any] struct {
	mu   sync.Mutex
	next map[K]*reading[V] // the read to join, nil while nobody has; present while one is under way
}

// reading is one read and, after done is closed, its result.
type reading[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// Do returns the result of a read of key that begins after the call, or the error of ctx when
// that ends first. read belongs to all who wait: its context has the values of the first
// caller's and ends for nobody, so it must set a time limit of its own. It may run again, for
// those who have come meanwhile.
func (r *Reads[K, V]) Do(ctx context.Context, key K, read func(context.Context) (V, error)) (V, error) {
	mine := r.join(context.WithoutCancel(ctx), key, read)
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (r *Reads[K, V]) join(ctx context.Context, key K, read func(context.Context) (V, error)) *reading[V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next, busy := r.next[key]; busy {
		if next == nil {
			next = &reading[V]{done: make(chan struct{})}
			r.next[key] = next
		}
		return next
	}
	if r.next == nil {
		r.next = make(map[K]*reading[V])
	}
	first := &reading[V]{done: make(chan struct{})}
	r.next[key] = nil
	go r.run(ctx, key, first, read)
	return first
}

// run reads until nobody waits any more. A result is published last: who has it and asks again
// meets no trace of the read that gave it.
func (r *Reads[K, V]) run(ctx context.Context, key K, now *reading[V], read func(context.Context) (V, error)) {
	for now != nil {
		now.value, now.err = read(ctx)
		now = r.turn(key, now)
	}
}

// turn ends a read and returns the next one, nil when nobody waits for one.
func (r *Reads[K, V]) turn(key K, done *reading[V]) *reading[V] {
	defer close(done.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.next[key]
	if next == nil {
		delete(r.next, key)
	} else {
		r.next[key] = nil
	}
	return next
}
