// Package live shows readers in this process the changes of runs as they are stored.
//
// It must not know who changes runs: changes are published to it.
package live

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"keyflow/engine/runs"
)

// PollEvery is how often a run that another goroutine or process works on is read.
const PollEvery = time.Second

// Hub passes changes of the runs of this process to watchers.
type Hub struct {
	watchers atomic.Int64 // so that publishing costs nothing when nobody watches
	mu       sync.Mutex
	of       map[runs.ID]map[*Watcher]bool
}

// Watcher collects updates for one reader.
type Watcher struct {
	wake chan struct{} // holds one token while there is something to read

	mu      sync.Mutex
	pending []Update
	lost    bool // there were too many to keep: the reader must look for itself
}

// maxPending bounds what a slow reader costs.
const maxPending = 4096

// NewHub returns a hub without watchers.
func NewHub() *Hub { return &Hub{of: map[runs.ID]map[*Watcher]bool{}} }

// Subscribe returns a watcher of a run, and the function that ends it.
func (h *Hub) Subscribe(id runs.ID) (*Watcher, func()) {
	w := &Watcher{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[id] == nil {
		h.of[id] = map[*Watcher]bool{}
	}
	h.of[id][w] = true
	h.watchers.Add(1)
	return w, func() { h.unsubscribe(id, w) }
}

func (h *Hub) unsubscribe(id runs.ID, w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of[id], w)
	if len(h.of[id]) == 0 {
		delete(h.of, id)
	}
	h.watchers.Add(-1)
}

// Watched reports whether anybody watches any run.
func (h *Hub) Watched() bool { return h.watchers.Load() > 0 }

// Publish never blocks.
func (h *Hub) Publish(id runs.ID, updates ...Update) {
	if h.watchers.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.of[id] {
		w.add(updates)
	}
}

// Changed receives when there is something to take.
func (w *Watcher) Changed() <-chan struct{} { return w.wake }

func (w *Watcher) add(updates []Update) {
	w.mu.Lock()
	if len(w.pending)+len(updates) > maxPending {
		w.pending, w.lost = nil, true
	}
	if !w.lost {
		w.pending = append(w.pending, updates...)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Take returns the updates since the last call; lost says that there were too many to keep.
func (w *Watcher) Take() (updates []Update, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	updates, lost = w.pending, w.lost
	w.pending, w.lost = nil, false
	return updates, lost
}

// Update is one change of a watched run; exactly one field is set.
type Update struct {
	Run  *runs.Run
	Step *runs.Step
}

// Wait returns the run once it is final, or ctx's error. find reads the run as it is stored.
func (h *Hub) Wait(ctx context.Context, id runs.ID, find func(context.Context, runs.ID) (runs.Run, error)) (runs.Run, error) {
	w, stop := h.Subscribe(id)
	defer stop()
	ticker := time.NewTicker(PollEvery)
	defer ticker.Stop()
	for {
		run, err := find(ctx, id)
		if err != nil || run.Status.Final() {
			return run, err
		}
		if run, ok := w.final(ctx, ticker.C); ok {
			return run, nil
		}
		if ctx.Err() != nil {
			return runs.Run{}, ctx.Err()
		}
	}
}

// final returns the run when its end is published; false when it is time to look elsewhere.
func (w *Watcher) final(ctx context.Context, look <-chan time.Time) (runs.Run, bool) {
	for {
		select {
		case <-w.wake:
		case <-look:
			return runs.Run{}, false
		case <-ctx.Done():
			return runs.Run{}, false
		}
		updates, lost := w.Take()
		for _, u := range updates {
			if u.Run != nil && u.Run.Status.Final() {
				return *u.Run, true
			}
		}
		if lost {
			return runs.Run{}, false
		}
	}
}

// Source is where a reader finds what was not published.
type Source struct {
	Read    func(context.Context, runs.ID) (runs.Run, []runs.Step, error)
	Running func(runs.ID) bool // in this process: all its changes are published
}

// Watch sends the run and its steps as they are, then every change, and closes the channel
// after the final run or when ctx is done. A slow reader misses intermediate states only.
func (h *Hub) Watch(ctx context.Context, id runs.ID, from Source) (<-chan Update, error) {
	w, stop := h.Subscribe(id)
	run, steps, err := from.Read(ctx, id)
	if err != nil {
		stop()
		return nil, err
	}
	out := make(chan Update)
	go func() {
		defer close(out)
		defer stop()
		v := &view{out: out, sent: map[runs.StepRef]runs.StepStatus{}}
		if v.send(ctx, run, steps) {
			v.follow(ctx, from, w, id)
		}
	}()
	return out, nil
}

// view is what one reader of a run has seen.
type view struct {
	out  chan<- Update
	run  runs.Status
	sent map[runs.StepRef]runs.StepStatus
}

// follow sends changes until the run is final. Runs of other processes are polled.
func (v *view) follow(ctx context.Context, from Source, w *Watcher, id runs.ID) {
	ticker := time.NewTicker(PollEvery)
	defer ticker.Stop()
	for {
		look := false
		select {
		case <-w.wake:
		case <-ticker.C:
			look = !from.Running(id)
		case <-ctx.Done():
			return
		}
		updates, lost := w.Take()
		for _, u := range updates {
			if !v.update(ctx, u) {
				return
			}
		}
		if !lost && !look {
			continue
		}
		run, steps, err := from.Read(ctx, id)
		if err != nil || !v.send(ctx, run, steps) {
			return
		}
	}
}

// send brings the reader up to date: steps first, a final run last. It reports whether the
// reader wants more.
func (v *view) send(ctx context.Context, run runs.Run, steps []runs.Step) bool {
	if !run.Status.Final() && !v.update(ctx, Update{Run: &run}) {
		return false
	}
	for i := range steps {
		if !v.update(ctx, Update{Step: &steps[i]}) {
			return false
		}
	}
	return !run.Status.Final() || v.update(ctx, Update{Run: &run})
}

// update sends one change unless the reader has seen it; false after the final run.
func (v *view) update(ctx context.Context, u Update) bool {
	if u.Run != nil {
		if u.Run.Status == v.run {
			return true
		}
		v.run = u.Run.Status
	} else {
		key := runs.StepRef{Node: u.Step.Node, Index: u.Step.Index}
		if v.sent[key] == u.Step.Status && u.Step.Status.Final() {
			return true
		}
		v.sent[key] = u.Step.Status
	}
	select {
	case v.out <- u:
		return u.Run == nil || !u.Run.Status.Final()
	case <-ctx.Done():
		return false
	}
}
