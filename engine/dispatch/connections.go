package dispatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Connections says whether a credential can be used; *credentials.Vault does.
type Connections interface {
	// Connected is false while a person must connect the credential. One that is gone counts as
	// connected: the steps that need it go on, and fail for that reason.
	Connected(ctx context.Context, id credentials.ID) (bool, error)
}

const (
	// recheckAfter is how long after a step began to wait its credential is checked: it may have
	// been connected in between. It also paces a step that is refused again although its credential
	// is said to be connected.
	recheckAfter = 500 * time.Millisecond
	wakePage     = 500
)

// CredentialChecks finds out when the credentials that steps wait for can be used, and signals
// their runs.
type CredentialChecks struct {
	d           *Dispatcher
	connections Connections // nil: no step waits for a credential

	mu     sync.Mutex
	timers map[credentials.ID]*time.Timer // of checks that are to come
}

// NewCredentialChecks returns the checks of a process; without connections it checks nothing.
func NewCredentialChecks(d *Dispatcher, c Connections) *CredentialChecks {
	return &CredentialChecks{d: d, connections: c, timers: map[credentials.ID]*time.Timer{}}
}

// Watch checks the credentials that steps began to wait for, now that this is stored: whoever
// connects one from now on finds them.
func (c *CredentialChecks) Watch(stored []runs.Step) {
	for i := range stored {
		if stored[i].NeedsConnect != "" {
			c.check(stored[i].NeedsConnect, recheckAfter)
		}
	}
}

// CheckNow checks a credential and returns at once.
func (c *CredentialChecks) CheckNow(id credentials.ID) { c.check(id, 0) }

// Sweep checks every credential that a step waits for. It finds what a process connected that died
// before it could say so.
func (c *CredentialChecks) Sweep(ctx context.Context) {
	ids, err := c.d.o.Store.AwaitedCredentials(ctx)
	if err != nil && ctx.Err() == nil {
		c.d.o.Logger.Warn("cannot read which credentials runs wait for", "error", err)
	}
	for _, id := range ids {
		c.check(id, 0)
	}
}

// check checks a credential after a while; many requests are one check.
func (c *CredentialChecks) check(id credentials.ID, after time.Duration) {
	if c.connections == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if timer := c.timers[id]; timer != nil {
		if after == 0 {
			timer.Reset(0)
		}
		return
	}
	c.timers[id] = time.AfterFunc(after, func() { c.run(id) })
}

func (c *CredentialChecks) run(id credentials.ID) {
	c.mu.Lock()
	delete(c.timers, id) // requests from now on are for another check
	c.mu.Unlock()
	if !c.d.o.Live.Enter() {
		return
	}
	defer c.d.o.Live.Exit()
	ctx := c.d.o.Context
	connected, err := c.connections.Connected(ctx, id)
	if err == nil && connected {
		err = c.wake(ctx, id)
	}
	if err != nil && ctx.Err() == nil {
		c.d.o.Logger.Warn("cannot wake the runs that wait for a credential; it is tried again", "credential", id, "error", err)
		c.check(id, feedEvery)
	}
}

// wake signals every run with a step that waits for the credential. The runs become due; how many
// of them go on at once is the queue's decision.
func (c *CredentialChecks) wake(ctx context.Context, id credentials.ID) error {
	var after runs.ID
	for {
		waiting, err := c.d.o.Store.WaitingForCredential(ctx, id, after, wakePage)
		if err != nil {
			return fmt.Errorf("find the runs that wait for credential %q: %w", id, err)
		}
		sent := make([]<-chan runs.Outcome, len(waiting))
		for i, run := range waiting {
			sent[i] = c.d.o.Journal.Send(runs.Entry{Signal: &runs.Signal{Run: run, Kind: runs.SignalConnected, Data: []byte(id)}})
		}
		for _, done := range sent {
			if out := <-done; out.Err != nil && !fault.Is(out.Err, fault.Conflict) && !fault.Is(out.Err, fault.NotFound) {
				err = out.Err
			}
		}
		c.d.LookNow()
		if err != nil || len(waiting) < wakePage {
			return err
		}
		after = waiting[len(waiting)-1]
	}
}
