package workflows

import (
	"container/list"
	"sync"
	"time"
)

// cacheSize bounds both the current rows and the parsed definitions kept in memory: a
// hundred thousand sleeping workflows must not cost a hundred thousand definitions.
const cacheSize = 2048

// cache keeps current rows and parsed versions, least recently used out first. Versions
// are immutable; rows are forgotten on change and, when refresh is not zero, by age.
type cache struct {
	refresh time.Duration
	now     func() time.Time

	mu          sync.Mutex
	generation  uint64 // grows with each forget: a read that began before it is not kept
	summaries   *lru[ID, timedSummary]
	definitions *lru[versionKey, *Definition]
}

type versionKey struct {
	id     ID
	number int
}

type timedSummary struct {
	Summary
	readAt time.Time
}

func newCache(refresh time.Duration, now func() time.Time) *cache {
	return &cache{
		refresh: refresh, now: now,
		summaries: newLRU[ID, timedSummary](), definitions: newLRU[versionKey, *Definition](),
	}
}

func (c *cache) summary(id ID, read func() (Summary, error)) (Summary, error) {
	c.mu.Lock()
	s, ok := c.summaries.get(id)
	generation := c.generation
	c.mu.Unlock()
	now := c.now()
	if ok && (c.refresh == 0 || now.Sub(s.readAt) < c.refresh) {
		return s.Summary, nil
	}
	fresh, err := read()
	if err != nil {
		return Summary{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation == c.generation {
		c.summaries.put(id, timedSummary{fresh, now})
	}
	return fresh, nil
}

func (c *cache) definition(id ID, number int, read func() (*Definition, error)) (*Definition, error) {
	key := versionKey{id, number}
	c.mu.Lock()
	d, ok := c.definitions.get(key)
	c.mu.Unlock()
	if ok {
		return d, nil
	}
	d, err := read()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.definitions.put(key, d)
	return d, nil
}

func (c *cache) forget(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.summaries.drop(id)
}

// lru is a map of at most cacheSize entries. It is not safe for concurrent use.
type lru[K comparable, V any] struct {
	entries map[K]*list.Element
	order   *list.List // of entry, most recent first
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any]() *lru[K, V] {
	return &lru[K, V]{entries: make(map[K]*list.Element), order: list.New()}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e, ok := l.entries[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lruEntry[K, V]).value, true
}

func (l *lru[K, V]) put(k K, v V) {
	l.drop(k)
	l.entries[k] = l.order.PushFront(lruEntry[K, V]{k, v})
	if len(l.entries) > cacheSize {
		l.drop(l.order.Back().Value.(lruEntry[K, V]).key)
	}
}

func (l *lru[K, V]) drop(k K) {
	if e, ok := l.entries[k]; ok {
		l.order.Remove(e)
		delete(l.entries, k)
	}
}
