package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"keyflow/engine/runs"
)

// pollEvery is how often a run that another goroutine or process works on is looked at.
const pollEvery = time.Second

// hub tells watchers what happens to runs of this process.
type hub struct {
	watchers atomic.Int64 // so that publishing costs nothing when nobody watches
	mu       sync.Mutex
	of       map[runs.ID]map[*watcher]bool
}

// watcher collects updates for one reader.
type watcher struct {
	wake chan struct{} // holds one token while there is something to read

	mu      sync.Mutex
	pending []Update
	lost    bool // there were too many to keep: the reader must look for itself
}

// maxPending bounds what a slow reader costs.
const maxPending = 4096

func newHub() *hub { return &hub{of: map[runs.ID]map[*watcher]bool{}} }

func (h *hub) subscribe(id runs.ID) (*watcher, func()) {
	w := &watcher{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[id] == nil {
		h.of[id] = map[*watcher]bool{}
	}
	h.of[id][w] = true
	h.watchers.Add(1)
	return w, func() { h.unsubscribe(id, w) }
}

func (h *hub) unsubscribe(id runs.ID, w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of[id], w)
	if len(h.of[id]) == 0 {
		delete(h.of, id)
	}
	h.watchers.Add(-1)
}

// publish never blocks.
func (h *hub) publish(id runs.ID, updates ...Update) {
	if h.watchers.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.of[id] {
		w.add(updates)
	}
}

func (w *watcher) add(updates []Update) {
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

func (w *watcher) take() (updates []Update, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	updates, lost = w.pending, w.lost
	w.pending, w.lost = nil, false
	return updates, lost
}

// publish tells watchers what was stored.
func (r *runner) publish(p *runs.Progress) {
	if p == nil || r.engine.hub.watchers.Load() == 0 {
		return
	}
	updates := make([]Update, 0, len(p.Steps)+1)
	for i := range p.Steps {
		updates = append(updates, Update{Step: &p.Steps[i]})
	}
	if p.Set != nil {
		run := r.run.With(p.Set)
		updates = append(updates, Update{Run: &run})
	}
	r.engine.hub.publish(r.run.ID, updates...)
}

// Update is one change of a watched run; exactly one field is set.
type Update struct {
	Run  *runs.Run
	Step *runs.Step
}

// Wait returns the run once it is final, or ctx's error.
func (e *Engine) Wait(ctx context.Context, id runs.ID) (runs.Run, error) {
	if r := e.running(id); r != nil {
		select {
		case <-r.done:
			if r.final != nil {
				return *r.final, nil
			}
		case <-ctx.Done():
			return runs.Run{}, ctx.Err()
		}
	}
	w, stop := e.hub.subscribe(id)
	defer stop()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		run, err := e.Find(ctx, id)
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
func (w *watcher) final(ctx context.Context, look <-chan time.Time) (runs.Run, bool) {
	for {
		select {
		case <-w.wake:
		case <-look:
			return runs.Run{}, false
		case <-ctx.Done():
			return runs.Run{}, false
		}
		updates, lost := w.take()
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

// Watch sends the run and its steps as they are, then every change, and closes the channel
// after the final run or when ctx is done. A slow reader misses intermediate states only.
func (e *Engine) Watch(ctx context.Context, id runs.ID) (<-chan Update, error) {
	w, stop := e.hub.subscribe(id)
	run, steps, err := e.Run(ctx, id)
	if err != nil {
		stop()
		return nil, err
	}
	out := make(chan Update)
	go func() {
		defer close(out)
		defer stop()
		v := &view{out: out, sent: map[stepID]runs.StepStatus{}}
		if v.send(ctx, run, steps) {
			v.follow(ctx, e, w, id)
		}
	}()
	return out, nil
}

// view is what one reader of a run has seen.
type view struct {
	out  chan<- Update
	run  runs.Status
	sent map[stepID]runs.StepStatus
}

type stepID struct {
	node  string
	index int
}

// follow sends changes until the run is final. Runs of other processes are polled.
func (v *view) follow(ctx context.Context, e *Engine, w *watcher, id runs.ID) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		look := false
		select {
		case <-w.wake:
		case <-ticker.C:
			look = e.running(id) == nil
		case <-ctx.Done():
			return
		}
		updates, lost := w.take()
		for _, u := range updates {
			if !v.update(ctx, u) {
				return
			}
		}
		if !lost && !look {
			continue
		}
		run, steps, err := e.Run(ctx, id)
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
		key := stepID{string(u.Step.Node), u.Step.Index}
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
