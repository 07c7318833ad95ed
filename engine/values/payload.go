package values

import (
	"weak"
)

// LargePayload is the size of JSON whose plain data, which takes some ten times as much, is
// not kept for a run: it lives as long as a step reads it, and after that until memory is
// collected. Runs that wait for slow upstreams would hold it for nothing.
const LargePayload = 64 << 10

// payload is what a payload decodes to.
type payload struct{ value any }

// decoded is the plain data of one payload of a run. It is guarded as its Scope is.
type decoded struct {
	ok    bool
	value any                   // of a small payload
	large weak.Pointer[payload] // of a large one
}

// get returns the plain data, with decode when there is none now, and notes in use who must
// be kept alive by its reader.
func (d *decoded) get(size int, use *Reading, decode func() (any, error)) (any, error) {
	if d.ok {
		return d.value, nil
	}
	if p := d.large.Value(); p != nil {
		use.Alive = append(use.Alive, p)
		return p.value, nil
	}
	v, err := decode()
	if err != nil {
		return nil, err
	}
	if p := d.set(size, v); p != nil {
		use.Alive = append(use.Alive, p)
	}
	return v, nil
}

// set takes the plain data of a payload of that size; of a large one it returns what its
// reader must keep alive.
func (d *decoded) set(size int, v any) *payload {
	if size < LargePayload {
		d.value, d.ok = v, true
		return nil
	}
	p := &payload{v}
	d.large = weak.Make(p)
	return p
}

// Reading is what the expressions of a node read: names and values, and the large payloads
// among them.
type Reading struct {
	Vars  map[string]any
	Alive []*payload
}
