package execution

import (
	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/outbox"
)

// pending is what follows from events and is not stored yet.
type pending struct {
	rows    []runs.Step
	starts  []runs.NewRun // runs to be started
	signals []runs.Signal // to other runs
	events  []outbox.Event
	next    []state.StepKey // to be started once the rows are stored
	readSeq int64           // signals up to this one were applied
}

// take moves everything pending into an entry; the steps in next stay.
func (p *pending) take(into *runs.Progress) {
	into.Steps, into.Starts, into.Signals, into.Events, into.ReadSignals = p.rows, p.starts, p.signals, p.events, p.readSeq
}

// clear forgets what take has moved.
func (p *pending) clear() { p.rows, p.starts, p.signals, p.events = nil, nil, nil, nil }

// putBack takes back what was not stored.
func (p *pending) putBack(of *runs.Progress) {
	p.rows, p.starts = append(of.Steps, p.rows...), append(of.Starts, p.starts...)
	p.signals, p.events = append(of.Signals, p.signals...), append(of.Events, p.events...)
}

// cancelChild cancels the run that a step no longer waits for, with the next entry
// of this run.
func (p *pending) cancelChild(child runs.ID) {
	p.signals = append(p.signals, runs.Signal{Run: child, Kind: runs.SignalCancel, ID: uuid.NewSHA1(uuid.UUID(child), []byte(runs.SignalCancel))})
}
