// Package ownership keeps a process alive in the eyes of the others, and finds the runs of those
// that are silent.
//
// It knows owners and beats; it must not know what a run does.
package ownership

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/backoff"
	"keyflow/engine/runs"
)

// Defaults of Options (docs/explanation/architecture.md).
const (
	defaultBeat    = time.Second
	defaultConfirm = 3 * time.Second
	defaultSilence = 5 * time.Second
	maxOrphans     = 1000 // reported at once
)

// confirmEvery is how often a process that is not confirmed checks whether it is.
const confirmEvery = 20 * time.Millisecond

// Options sets the timing of a heartbeat; zero fields take the defaults.
type Options struct {
	Beat    time.Duration // between two beats; 1 s
	Confirm time.Duration // how long a stored beat confirms the process; 3 s
	Silence time.Duration // after which an owner is given up; 5 s
	// Alone says that no other process can use the database (SQLite: the folder lock). The
	// runs of earlier processes are then orphans from the first beat on.
	Alone bool
	// Orphans receives runs whose owner is silent, from the goroutine of Serve; it must not
	// block for long. The same runs come again until somebody has claimed them.
	Orphans func(context.Context, []runs.Orphan)
	// Clock is the time since some fixed moment, time spent asleep included; nil: the
	// system's boot clock.
	Clock  func() time.Duration
	Logger *slog.Logger // nil: discards
}

// Ownership keeps a process alive in the eyes of the others: it beats, it knows whether
// the process may act on its runs, and it reports the runs of processes that fell silent.
//
// A process is silent when its beat has not changed for Silence of this process's own clock. The
// clocks of the database and of the other process do not count, so a step of either takes no runs.
//
// A process whose beats were not stored for longer than Confirm cannot tell a stalled
// database from having been given up. It reports no orphans until it has beaten without a
// gap for Silence again, so that the first to wake does not become everyone's heir.
type Ownership struct {
	id     runs.OwnerID
	owners runs.Owners
	o      Options

	mu    sync.Mutex
	beat  time.Duration // Clock when the last stored beat was sent
	since time.Duration // Clock of the first beat after the last gap
	ever  bool          // a beat was stored
	gaps  int64         // how often the others may have given the process up

	seen map[runs.OwnerID]sighting // the other owners of runs, since the last gap; of Serve alone
}

// sighting is a beat of another process, and when it was first seen by this one's clock.
type sighting struct {
	beat int64
	at   time.Duration
}

// New returns the ownership of one process start, with a new random id.
func New(owners runs.Owners, o Options) *Ownership {
	o.Beat, o.Confirm, o.Silence = cmp.Or(o.Beat, defaultBeat), cmp.Or(o.Confirm, defaultConfirm), cmp.Or(o.Silence, defaultSilence)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Clock == nil {
		o.Clock = bootClock
	}
	if o.Orphans == nil {
		o.Orphans = func(context.Context, []runs.Orphan) {}
	}
	return &Ownership{id: runs.OwnerID(uuid.New()), owners: owners, o: o}
}

// ID is the owner id of this process start.
func (o *Ownership) ID() runs.OwnerID { return o.id }

// Confirmed reports whether the process may create runs as its own and start a step or a
// request: its last stored beat was sent less than Confirm ago, time asleep included. Of one that
// is alone nobody else can take runs: there one beat is enough, and a slow disk stops no step.
func (o *Ownership) Confirmed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ever && (o.o.Alone || o.o.Clock()-o.beat < o.o.Confirm)
}

// Gaps counts how often the process was silent for so long that others may have taken its runs.
// It has grown by the time that Confirmed is true again.
func (o *Ownership) Gaps() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gaps
}

// Serve beats until ctx is done, then withdraws the process's row and returns nil: runs it
// still owns are orphans from then on.
func (o *Ownership) Serve(ctx context.Context) error {
	ticker := time.NewTicker(o.o.Beat)
	defer ticker.Stop()
	if o.o.Alone {
		o.bury(ctx)
	}
	for {
		o.tick(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return o.leave(ctx)
		}
	}
}

// bury withdraws the rows of all earlier owners of unfinished runs.
func (o *Ownership) bury(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, o.o.Silence)
	defer cancel()
	earlier, err := o.owners.Beats(ctx)
	if err != nil {
		o.o.Logger.Warn("cannot look for runs of an earlier process", "error", err)
		return
	}
	for owner, beat := range earlier {
		if beat == 0 {
			continue
		}
		if err := o.owners.Leave(ctx, owner); err != nil {
			o.o.Logger.Warn("cannot withdraw an earlier process", "error", err)
		}
	}
}

// tick beats once and, when that puts the process in a position to judge, looks for orphans.
func (o *Ownership) tick(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, o.o.Confirm)
	defer cancel()
	sent := o.o.Clock()
	if err := o.owners.Beat(ctx, o.id); err != nil {
		if ctx.Err() == nil || !o.Confirmed() {
			o.o.Logger.Warn("heartbeat not stored", "error", err)
		}
		return
	}
	steady := o.confirm(sent)
	orphans, err := o.orphans(ctx, steady)
	if err != nil {
		o.o.Logger.Warn("cannot look for silent processes", "error", err)
		return
	}
	if len(orphans) > 0 {
		o.o.Orphans(ctx, orphans)
	}
}

// orphans looks at the beats of the others and, when this process is steady, returns runs of those
// that are silent.
func (o *Ownership) orphans(ctx context.Context, steady bool) ([]runs.Orphan, error) {
	asked := o.o.Clock()
	beats, err := o.owners.Beats(ctx)
	if err != nil {
		return nil, err
	}
	silent := o.observe(beats, asked, o.o.Clock())
	if !steady || len(silent) == 0 {
		return nil, nil
	}
	orphans, err := o.owners.OwnedBy(ctx, silent, maxOrphans)
	for i := range orphans {
		orphans[i].Beat = beats[orphans[i].Owner]
	}
	return orphans, err
}

// observe notes the beats that the store was asked for, and returned, at these times. It returns
// the silent owners: those whose beat was returned before, at least Silence before it was asked for
// now.
func (o *Ownership) observe(beats map[runs.OwnerID]int64, asked, returned time.Duration) []runs.OwnerID {
	seen := make(map[runs.OwnerID]sighting, len(beats))
	var silent []runs.OwnerID
	for owner, beat := range beats {
		if owner == o.id {
			continue
		}
		s, known := o.seen[owner]
		if !known || s.beat != beat {
			s = sighting{beat, returned}
		}
		seen[owner] = s
		if beat == 0 || asked-s.at >= o.o.Silence {
			silent = append(silent, owner)
		}
	}
	o.seen = seen
	return silent
}

// confirm notes a stored beat and reports whether the process may judge others.
func (o *Ownership) confirm(sent time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ever || sent-o.beat >= o.o.Confirm {
		o.since, o.seen = sent, nil
	}
	if o.ever && !o.o.Alone && o.o.Clock()-o.beat >= o.o.Confirm {
		o.gaps++
	}
	o.ever, o.beat = true, sent
	return o.o.Alone || sent-o.since >= o.o.Silence
}

func (o *Ownership) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.o.Confirm)
	defer cancel()
	if err := o.owners.Leave(ctx, o.id); err != nil {
		o.o.Logger.Warn("cannot withdraw from the database; others wait until this process is silent", "error", err)
	}
	return nil
}

// Await returns when the process may claim runs and start steps, or ctx is done.
func (o *Ownership) Await(ctx context.Context) {
	for !o.Confirmed() {
		backoff.Sleep(ctx, confirmEvery)
		if ctx.Err() != nil {
			return
		}
	}
}
