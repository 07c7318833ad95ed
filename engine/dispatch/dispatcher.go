package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"keyflow/engine/journal"
	"keyflow/engine/ownership"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

const (
	// feedEvery is how often the store is asked for due runs and unread signals.
	feedEvery = time.Second
	// A run parked for less than timerWithin is woken by a timer, exactly; others, and those
	// over maxTimers, when the store is asked the next time.
	timerWithin = time.Minute
	maxTimers   = 10_000
)

// Options are what a dispatcher works with. All are required.
type Options struct {
	Store      runs.Store
	Journal    *journal.Journal
	Ownership  *ownership.Ownership
	Queue      *Queue
	QueueLimit int // see Queue.Reserve
	Live       *Registry
	// Resume goes on with a run that this process has just become the owner of; false when it was
	// given back. gaps is Ownership.Gaps from before the claim.
	Resume func(l *runs.Loaded, gaps int64) bool
	// Context ends with the steps of the process.
	Context context.Context
	Now     func() time.Time
	Logger  *slog.Logger
}

// Dispatcher takes due runs and signals to where they are carried out: into the queue, to a
// carrier of this process, or to whoever owns the run.
type Dispatcher struct {
	o      Options
	look   chan struct{} // holds a token when signals or due runs should be looked for now
	timers atomic.Int64  // of parked runs
}

// NewDispatcher returns a dispatcher; Serve feeds the queue.
func NewDispatcher(o Options) *Dispatcher {
	return &Dispatcher{o: o, look: make(chan struct{}, 1)}
}

// Adopt takes over runs of silent processes. It is the heartbeat's callback.
func (d *Dispatcher) Adopt(_ context.Context, orphans []runs.Orphan) {
	for _, o := range orphans {
		if d.o.Live.Get(o.Run) == nil {
			d.Enqueue(runs.DueRun{Run: o.Run}, &o)
		}
	}
}

// Enqueue lets a run be claimed when the queue serves it; from its owner when that is silent, else
// nil.
func (d *Dispatcher) Enqueue(due runs.DueRun, from *runs.Orphan) {
	d.o.Queue.Submit(&Task{
		Run: due.Run, Workflow: due.Workflow, Claim: true,
		Do: func(func()) { d.claim(due.Run, from) },
	})
}

// Woken passes on what the store has decided about other runs: those that got a slot are
// claimed, those that were canceled for one are signaled.
func (d *Dispatcher) Woken(woken []runs.DueRun) {
	for _, due := range woken {
		if d.o.Live.Get(due.Run) != nil {
			d.LookNow()
		} else {
			d.Enqueue(due, nil)
		}
	}
}

// claim takes a run that nobody owns, or whose owner is silent, and goes on with it. False: it
// could not be found out whether there is anything to take, or the run was given back.
func (d *Dispatcher) claim(id runs.ID, from *runs.Orphan) (done bool) {
	if !d.o.Live.Enter() {
		return true
	}
	defer d.o.Live.Exit()
	if d.o.Live.Get(id) != nil {
		return true
	}
	owner := d.o.Ownership
	owner.Await(d.o.Context)
	gaps := owner.Gaps() // the answer can be late
	claim := &runs.Claim{Run: id, Owner: owner.ID()}
	if from != nil {
		claim.TakeoverFrom, claim.Beat = &from.Owner, from.Beat
	}
	out := <-d.o.Journal.Send(runs.Entry{Claim: claim})
	switch {
	case fault.Is(out.Err, fault.Conflict), fault.Is(out.Err, fault.NotFound): // somebody was faster, the owner is back, or it is over
		return true
	case out.Err != nil:
		d.o.Logger.Warn("cannot claim a run; it is tried again", "run", id, "error", out.Err)
		return false
	}
	return d.o.Resume(out.Loaded, gaps)
}

// Signaled says that a signal of the run is on disk: its carrier in this process reads it, or a
// run that nobody owns is claimed. Another process finds it with its beat.
func (d *Dispatcher) Signaled(id runs.ID) {
	if d.o.Live.Get(id) != nil {
		d.LookNow()
		return
	}
	go d.claimNow(id)
}

// claimNow claims a run outside the queue: a signal does not wait for a slot, which only steps
// need. For the same reason a claim that failed is not left to the queue alone.
func (d *Dispatcher) claimNow(id runs.ID) {
	if !d.claim(id, nil) {
		time.AfterFunc(feedEvery, func() { d.claimNow(id) })
	}
}

// Late ends, by a signal that competes with what it waited for, the wait of a step whose time is
// over.
func (d *Dispatcher) Late(run runs.ID, node workflows.NodeID, index int) {
	s, err := (&runs.ExternalResult{Node: node, Index: index, Late: true}).Signal(run)
	if err == nil {
		err = (<-d.o.Journal.Send(runs.Entry{Signal: s})).Err
	}
	switch {
	case err == nil:
		d.LookNow()
	case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound), d.o.Context.Err() != nil: // nobody waits any more
	default:
		d.o.Logger.Warn("cannot end the wait of a step; it is tried again", "run", run, "node", node, "error", err)
		time.AfterFunc(feedEvery, func() { d.Late(run, node, index) })
	}
}

// Write stores the progress of a run and returns once it is on disk. The runs that it starts are
// then due.
func (d *Dispatcher) Write(p *runs.Progress) error {
	out := <-d.o.Journal.Send(runs.Entry{Progress: p})
	d.Woken(out.Woken)
	for _, id := range out.Unstarted {
		d.o.Logger.Warn("a run was not started: its workflow's limit of runs at once is reached", "run", p.Run, "not_started", id)
	}
	if out.Err != nil {
		return out.Err
	}
	for i := range p.Starts {
		if run := &p.Starts[i].Run; !slices.Contains(out.Unstarted, run.ID) {
			d.Enqueue(runs.DueRun{Run: run.ID, Workflow: run.Workflow}, nil)
		}
	}
	return nil
}

// Reserve keeps a place in the queue for a run that is not stored yet; false when it is full.
func (d *Dispatcher) Reserve(run runs.ID, workflow workflows.ID) bool {
	return d.o.Queue.Reserve(run, workflow, d.o.QueueLimit)
}

// Unreserve frees the place of a run that is not stored.
func (d *Dispatcher) Unreserve(run runs.ID) { d.o.Queue.Unreserve(run) }

// Create stores a run; it is due then.
func (d *Dispatcher) Create(n *runs.NewRun) runs.Outcome {
	out := <-d.o.Journal.Send(runs.Entry{Create: n})
	d.Woken(out.Woken)
	if out.Err == nil && !out.Waits {
		d.Enqueue(runs.DueRun{Run: out.Run, Workflow: n.Run.Workflow}, nil)
	}
	return out
}

// WakeAt sets a timer for a run that was parked and is due soon.
func (d *Dispatcher) WakeAt(id runs.ID, workflow workflows.ID, due time.Time) {
	wait := due.Sub(d.o.Now())
	if wait > timerWithin {
		return
	}
	if d.timers.Add(1) > maxTimers {
		d.timers.Add(-1)
		return
	}
	time.AfterFunc(wait, func() {
		d.timers.Add(-1)
		d.Enqueue(runs.DueRun{Run: id, Workflow: workflow}, nil)
	})
}

// LookNow asks the store at once.
func (d *Dispatcher) LookNow() {
	select {
	case d.look <- struct{}{}:
	default:
	}
}
