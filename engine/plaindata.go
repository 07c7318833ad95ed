package engine

import (
	"weak"

	"keyflow/engine/runs"
)

// largePayload is the size of JSON whose plain data, which takes some ten times as much, is
// not kept for a run: it lives as long as a step reads it, and after that until memory is
// collected. Runs that wait for slow upstreams would hold it for nothing.
const largePayload = 64 << 10

// plainData is what a payload decodes to.
type plainData struct{ value any }

// decoded is the plain data of one payload of a run. Its runner's mutex guards it.
type decoded struct {
	ok    bool
	value any                     // of a small payload
	large weak.Pointer[plainData] // of a large one
}

// get returns the plain data, with decode when there is none now, and notes in use who must
// be kept alive by its reader.
func (d *decoded) get(size int, use *reading, decode func() (any, error)) (any, error) {
	if d.ok {
		return d.value, nil
	}
	if p := d.large.Value(); p != nil {
		use.alive = append(use.alive, p)
		return p.value, nil
	}
	v, err := decode()
	if err != nil {
		return nil, err
	}
	if p := d.set(size, v); p != nil {
		use.alive = append(use.alive, p)
	}
	return v, nil
}

// set takes the plain data of a payload of that size; of a large one it returns what its
// reader must keep alive.
func (d *decoded) set(size int, v any) *plainData {
	if size < largePayload {
		d.value, d.ok = v, true
		return nil
	}
	p := &plainData{v}
	d.large = weak.Make(p)
	return p
}

// reading is what the expressions of a node read: names and values, and the large payloads
// among them.
type reading struct {
	vars  map[string]any
	alive []*plainData
}

// variables are what the expressions of the step may read. What is decoded again after rest is
// kept until the attempt ends: a node that reads page after page would decode it with each. The
// runner's mutex guards it then, because a node may evaluate concurrently.
func (s *stepRun) variables() (map[string]any, error) {
	if !s.rested {
		return s.reading.vars, nil
	}
	s.runner.mu.Lock()
	defer s.runner.mu.Unlock()
	if s.reading.vars != nil {
		return s.reading.vars, nil
	}
	now, err := s.runner.vars(&s.plan.Reads)
	s.addItem(now.vars)
	if err == nil {
		s.reading = now
	}
	return now.vars, err
}

// addItem adds the element that the step is for.
func (s *stepRun) addItem(vars map[string]any) {
	if vars != nil && s.key.index != runs.NoIndex && s.plan.Reads.Item {
		vars["item"], vars["key"], vars["index"] = s.item, s.itemKey, s.key.index
	}
}

// rest lets go of large payloads for as long as the node works: what it needs of them is in
// its parameters.
func (s *stepRun) rest() {
	if len(s.reading.alive) > 0 {
		s.reading, s.rested = reading{}, true
	}
}
