package execution

import (
	"context"
	"fmt"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/backoff"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/fault"
)

// host is the run as its attempts see it.
type host struct{ *Run }

var _ attempt.Host = host{}

// Vars implements attempt.Host.
func (h host) Vars(reads *plan.Reads) (values.Reading, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.values.Vars(reads)
}

// StoreStart puts the start of an at_most_once step on disk before its request is sent.
func (h host) StoreStart(ctx context.Context, key state.StepKey, attempt int, started time.Time) error {
	row := runs.Step{
		Node: h.plan.Nodes[key.Node].ID, Index: key.Index, Status: runs.StepRunning, StartedAt: &started,
		Attempts: []runs.Attempt{{Attempt: attempt, StartedAt: started}},
	}
	err := h.process.Dispatcher.Write(&runs.Progress{Run: h.run.ID, Owner: h.run.Owner, Fence: h.run.Fence, Steps: []runs.Step{row}})
	if err != nil {
		h.mu.Lock()
		h.refused(nil, err)
		h.persist()
		return err
	}
	return ctx.Err()
}

// MayRespond lets the first step of a run that asks answer; the others get a reason.
func (h host) MayRespond(ctx context.Context, key state.StepKey) (reason string, err error) {
	if h.reply == nil {
		return "no webhook with respond on_finish waits for this run", nil
	}
	const second = "the run has responded already"
	if h.run.Fence > 1 { // another owner's step may have been first
		earlier, err := h.earlierAnswer(ctx)
		if err != nil {
			return "", fmt.Errorf("read the answer of the run: %w", err)
		}
		if earlier != nil {
			return second, nil
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reply.by != nobody && h.reply.by != key {
		return second, nil
	}
	h.reply.by = key
	return "", nil
}

// earlierAnswer reads what the run has said. It waits while the database cannot be read, which is
// no fault of the step.
func (h host) earlierAnswer(ctx context.Context) (*runs.Answer, error) {
	for failures := 1; ; failures++ {
		a, err := h.process.Store.Answer(ctx, h.run.ID)
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return a, err
		}
		backoff.Sleep(ctx, backoff.Delay(failures))
	}
}

// DeclineResponse lets another step respond, because this one failed.
func (h host) DeclineResponse(key state.StepKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reply.by == key && h.reply.pending == nil {
		h.reply.by = nobody
	}
}

// recheckEvery is how often the owner of a run is read again that could not be read.
const recheckEvery = 20 * time.Millisecond

// AwaitOwnership is the ownership check: it returns when a step or a request of the run may start,
// or ctx is done. A process that was silent may have lost its runs without knowing: each is read
// before it does anything more. Without such a gap that costs a comparison.
func (h host) AwaitOwnership(ctx context.Context) {
	for {
		h.process.Ownership.Await(ctx)
		gaps := h.process.Ownership.Gaps()
		if ctx.Err() != nil || h.gaps.Load() == gaps {
			return
		}
		now, err := h.process.Store.Run(ctx, h.run.ID)
		switch {
		case err == nil && now.Owner == h.run.Owner && now.Fence == h.run.Fence:
			// A takeover checks the owner's beat in its own transaction: nobody can have taken
			// the run since the beat that ended the gap.
			h.gaps.Store(gaps)
		case err == nil, fault.Is(err, fault.NotFound):
			h.mu.Lock()
			if !h.gone {
				h.process.Attempts.Logger.Warn("lost a run to another process", "run", h.run.ID)
			}
			h.leave(attempt.ErrLost)
			h.mu.Unlock()
			return
		default:
			backoff.Sleep(ctx, recheckEvery)
		}
	}
}
