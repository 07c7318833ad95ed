package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/fault"
)

// Connections says whether a credential can be used; *credentials.Vault does.
type Connections interface {
	// Connected is false while a person must connect the credential. One that is gone counts as
	// connected: the steps that need it go on, and fail for that reason.
	Connected(ctx context.Context, id credentials.ID) (bool, error)
}

const (
	// lookAgain is how long after a step began to wait its credential is looked at once more:
	// it may have been connected in between. It also paces a step that is refused again although
	// its credential is said to be connected.
	lookAgain = 500 * time.Millisecond
	// sweepEvery is how often all credentials that steps wait for are looked at. It finds what
	// a process connected that died before it could say so.
	sweepEvery = time.Minute
	wakePage   = 500
)

// looks are the credentials that this process is about to look at. Its zero value is none.
type looks struct {
	mu     sync.Mutex
	timers map[credentials.ID]*time.Timer
}

// CredentialConnected tells that a credential can be used again: the steps of all processes
// that wait for it go on. It returns at once.
func (e *Engine) CredentialConnected(id credentials.ID) { e.lookAt(id, 0) }

// watchHolds looks at the credentials that steps began to wait for, now that this is stored:
// whoever connects one from now on finds them.
func (e *Engine) watchHolds(stored []runs.Step) {
	for i := range stored {
		if stored[i].NeedsConnect != "" {
			e.lookAt(stored[i].NeedsConnect, lookAgain)
		}
	}
}

// lookAt looks at a credential after a while; many wishes are one look.
func (e *Engine) lookAt(id credentials.ID, after time.Duration) {
	if e.o.Connections == nil {
		return
	}
	e.looks.mu.Lock()
	defer e.looks.mu.Unlock()
	if timer := e.looks.timers[id]; timer != nil {
		if after == 0 {
			timer.Reset(0)
		}
		return
	}
	if e.looks.timers == nil {
		e.looks.timers = map[credentials.ID]*time.Timer{}
	}
	e.looks.timers[id] = time.AfterFunc(after, func() { e.lookAtNow(id) })
}

func (e *Engine) lookAtNow(id credentials.ID) {
	e.looks.mu.Lock()
	delete(e.looks.timers, id) // wishes from now on are for another look
	e.looks.mu.Unlock()
	if !e.enter() {
		return
	}
	defer e.exit()
	connected, err := e.o.Connections.Connected(e.steps, id)
	if err == nil && connected {
		err = e.wake(e.steps, id)
	}
	if err != nil && e.steps.Err() == nil {
		e.o.Logger.Warn("cannot wake the runs that wait for a credential; it is tried again", "credential", id, "error", err)
		e.lookAt(id, feedEvery)
	}
}

// wake tells every run with a step that waits for the credential. The runs become due; how
// many of them go on at once is the queue's business.
func (e *Engine) wake(ctx context.Context, id credentials.ID) error {
	var after runs.ID
	for {
		waiting, err := e.o.Store.WaitingForCredential(ctx, id, after, wakePage)
		if err != nil {
			return fmt.Errorf("find the runs that wait for credential %q: %w", id, err)
		}
		sent := make([]<-chan runs.Outcome, len(waiting))
		for i, run := range waiting {
			sent[i] = e.journal.Send(runs.Entry{Signal: &runs.Signal{Run: run, Kind: runs.SignalConnected, Data: []byte(id)}})
		}
		for _, done := range sent {
			if out := <-done; out.Err != nil && !fault.Is(out.Err, fault.Conflict) && !fault.Is(out.Err, fault.NotFound) {
				err = out.Err
			}
		}
		e.lookNow()
		if err != nil || len(waiting) < wakePage {
			return err
		}
		after = waiting[len(waiting)-1]
	}
}

// sweepHolds looks at every credential that a step waits for.
func (e *Engine) sweepHolds(ctx context.Context) {
	ids, err := e.o.Store.AwaitedCredentials(ctx)
	if err != nil && ctx.Err() == nil {
		e.o.Logger.Warn("cannot read which credentials runs wait for", "error", err)
	}
	for _, id := range ids {
		e.lookAt(id, 0)
	}
}

// heldUntil is until when the step waits for its credential: what it says already, else due.
func (s *liveStep) heldUntil(due time.Time) time.Time {
	if s.holdEnd.IsZero() {
		s.holdEnd = due
	}
	return s.holdEnd
}

// connected lets the steps go on that wait for a credential. r.mu is held.
func (r *runner) connected(id credentials.ID) {
	var keys []state.StepKey
	for key, step := range r.live {
		if step.status == runs.StepWaiting && step.hold == id {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b state.StepKey) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Index, b.Index))
	})
	for _, key := range keys {
		if timer := r.live[key].timer; timer != nil {
			timer.Stop()
		}
		r.happen(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
	}
}
