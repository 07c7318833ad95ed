package engine

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
type host struct{ *runner }

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
	err := h.engine.write(&runs.Progress{Run: h.run.ID, Owner: h.run.Owner, Fence: h.run.Fence, Steps: []runs.Step{row}})
	if err != nil {
		h.mu.Lock()
		h.refused(nil, err)
		h.settle()
		return err
	}
	return ctx.Err()
}

// MayRespond lets the first step of a run that asks; the others are told why not.
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
		a, err := h.engine.o.Store.Answer(ctx, h.run.ID)
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
	if h.reply.by == key && h.reply.news == nil {
		h.reply.by = nobody
	}
}

// AwaitOwnership implements attempt.Host.
func (h host) AwaitOwnership(ctx context.Context) { h.awaitOwnership(ctx) }
