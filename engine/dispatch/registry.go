package dispatch

import (
	"sync"

	"keyflow/engine/runs"
)

// Carrier carries out one run in this process.
type Carrier interface {
	// Signal applies facts from outside, in order; those of other runs do not count.
	Signal(signals []runs.Signal)
	// Stop makes the run leave: steps at work may end, nothing else starts.
	Stop()
}

// Registry knows the runs that this process carries out, and what must end before it does.
type Registry struct {
	mu       sync.Mutex
	carriers map[runs.ID]Carrier
	busy     int // starts, claims and carriers
	stopping bool
	drained  chan struct{} // closed when stopping and busy is 0
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{carriers: map[runs.ID]Carrier{}, drained: make(chan struct{})}
}

// Enter counts something that must end before the process does; false when it is stopping.
func (g *Registry) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopping {
		g.busy++
	}
	return !g.stopping
}

// Exit ends what Enter has counted.
func (g *Registry) Exit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.exitLocked()
}

func (g *Registry) exitLocked() {
	if g.busy--; g.busy == 0 && g.stopping {
		close(g.drained)
	}
}

// Add makes a carrier known. Its caller has entered. It reports whether the process is stopping:
// then the carrier must hand its run back.
func (g *Registry) Add(id runs.ID, c Carrier) (stopping bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy++
	g.carriers[id] = c
	return g.stopping
}

// Forget takes a carrier out whose run has left.
func (g *Registry) Forget(id runs.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.carriers, id)
	g.exitLocked()
}

// Get returns the carrier of a run, or nil.
func (g *Registry) Get(id runs.ID) Carrier {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.carriers[id]
}

// Stopping reports whether nothing new may begin.
func (g *Registry) Stopping() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopping
}

// Close lets nothing new begin, and returns the carriers that must stop; nil the second time.
func (g *Registry) Close() []Carrier {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return nil
	}
	g.stopping = true
	if g.busy == 0 {
		close(g.drained)
	}
	carriers := make([]Carrier, 0, len(g.carriers))
	for _, c := range g.carriers {
		carriers = append(carriers, c)
	}
	return carriers
}

// Drained is closed when the process is stopping and everything that has entered has left.
func (g *Registry) Drained() <-chan struct{} { return g.drained }
