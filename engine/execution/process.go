// Package execution carries out runs: it applies events to the state of a run, stores what follows,
// and starts the steps that are due. A run of this process is a [Run]; one that another process has
// begun is restored from its stored steps.
//
// It must not know why runs start, nor how a node works.
package execution

import (
	"context"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/dispatch"
	"keyflow/engine/events"
	"keyflow/engine/live"
	"keyflow/engine/ownership"
	"keyflow/engine/runs"
)

// Process is what the process lends to all runs.
type Process struct {
	Attempts   *attempt.Process
	Dispatcher *dispatch.Dispatcher
	Checks     *dispatch.CredentialChecks
	Queue      *dispatch.Queue
	Live       *dispatch.Registry
	Ownership  *ownership.Ownership
	Store      Store
	Hub        *live.Hub
	// Wants reports whether anybody may be waiting for events of a type about something in a
	// folder; nil: nobody.
	Wants func(eventType, folder string) bool
	// Context ends with the steps of the process.
	Context context.Context
}

// Store is what runs read.
type Store interface {
	Run(ctx context.Context, id runs.ID) (runs.Run, error)
	Answer(ctx context.Context, id runs.ID) (*runs.Answer, error)
	Signals(ctx context.Context, owner runs.OwnerID) ([]runs.Signal, error)
}

func (p *Process) now() time.Time { return p.Attempts.Now() }

// fail ends a run that cannot go on.
func (p *Process) fail(run runs.Run, code, message string) {
	now := p.now()
	entry := &runs.Progress{Run: run.ID, Owner: run.Owner, Fence: run.Fence, Frees: run.FreesSlotsOf(), Set: &runs.Change{
		Status: runs.Failed, FinishedAt: &now, Error: &runs.RunError{Code: code, Message: message},
	}}
	if run.Parent != nil {
		if s, err := reportEnd(&run, entry.Set); err == nil {
			entry.Signals = []runs.Signal{s}
		}
	}
	p.announce(&run, entry)
	if err := p.Dispatcher.Write(entry); err != nil {
		p.Attempts.Logger.Error("cannot store the end of a run", "run", run.ID, "error", err)
		return
	}
	for i := range entry.Signals {
		p.Dispatcher.Signaled(entry.Signals[i].Run)
	}
}

// forget takes a run out that has left.
func (p *Process) forget(run *runs.Run, ended bool) {
	p.Live.Forget(run.ID)
	if ended && run.Version == 0 {
		p.Attempts.Starts.Forget(run.ID)
	}
}

// unreserve frees the places of runs that were to be stored and are not.
func (p *Process) unreserve(starts []runs.NewRun) {
	for i := range starts {
		p.Queue.Unreserve(starts[i].Run.ID)
	}
}

// announce adds the event of the end of a run to its last entry.
func (p *Process) announce(run *runs.Run, entry *runs.Progress) {
	if err := events.AddFinished(run, entry, p.Wants); err != nil {
		p.Attempts.Logger.Error("cannot publish the end of a run", "run", run.ID, "error", err)
	}
}
