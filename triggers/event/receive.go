package event

import (
	"context"
	"net/http"
	"strconv"

	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/internal/cloudevent"
	"keyflow/internal/fault"
	"keyflow/triggers/firing"
)

// Sent is a request with events from outside.
type Sent struct {
	Header http.Header
	Body   []byte
	// May reports whether the sender may start runs in a folder.
	May func(folder string) bool
}

// Receipt is the result of one event: the runs that it started, now or when it was sent before,
// or its problem.
type Receipt struct {
	ID      string
	Runs    []runs.ID
	Problem *fault.Problem // the first; its path is a pointer into the body
}

// Receive starts the runs for events from outside, and returns when they are on disk: one receipt
// for each event, in order. An invalid event starts nothing and does not affect the others. Faults:
// Malformed (no events), Invalid with Problems (no event is valid), Unavailable (a run could not be
// stored: send all events again, nothing starts twice).
func (d *Dispatcher) Receive(ctx context.Context, in Sent) ([]Receipt, error) {
	if err := d.catchUp(ctx); err != nil {
		return nil, fault.New(fault.Unavailable, "the events were not accepted: starting").Because(err)
	}
	exit, ok := d.gate.Enter(ctx, len(in.Body))
	if !ok {
		return nil, fault.New(fault.Unavailable, "the events were not accepted: too many large bodies at once")
	}
	defer exit()
	received, err := cloudevent.Read(in.Header, in.Body)
	if err != nil {
		return nil, err
	}
	depth, _ := strconv.Atoi(in.Header.Get(firing.DepthHeader))
	if err := checkDepths(received, depth); err != nil {
		return nil, err
	}
	return d.startReceived(ctx, received, in.May)
}

// catchUp waits no longer than a sender should.
func (d *Dispatcher) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firing.LoadWithin)
	defer cancel()
	return d.workflows.CatchUp(ctx)
}

// checkDepths raises the depth of each event to that of the request, and refuses events of more
// than MaxDepth. It returns an error when no event is left.
func checkDepths(received []cloudevent.Received, depth int) error {
	var wrong []fault.Problem
	valid := 0
	for i := range received {
		r := &received[i]
		if r.Event.Depth = max(r.Event.Depth, depth); r.Event.Depth > starts.MaxDepth {
			r.Problems = append(r.Problems, fault.Problem{
				Path: r.Path + "/" + cloudevent.DepthAttribute, Code: "loop",
				Message: "workflows start one another in a loop: more than " + strconv.Itoa(starts.MaxDepth) + " starts in a row led to this event",
			})
		}
		if wrong = append(wrong, r.Problems...); len(r.Problems) == 0 {
			valid++
		}
	}
	if valid > 0 || len(received) == 0 {
		return nil
	}
	return fault.Problems("no event could be accepted", wrong[:min(len(wrong), maxProblems)])
}

// maxProblems bounds the problems that are reported of one request.
const maxProblems = 100

// startReceived starts the runs of the valid events, and waits until they are stored even when
// the sender hangs up.
func (d *Dispatcher) startReceived(ctx context.Context, received []cloudevent.Received, may func(folder string) bool) ([]Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), firing.StoreWithin)
	defer cancel()
	receipts := make([]Receipt, len(received))
	var starts []start
	var of []int // the receipt of each start
	for i, r := range received {
		receipts[i].ID = r.Event.ID
		if len(r.Problems) > 0 {
			receipts[i].Problem = &r.Problems[0]
			continue
		}
		to := d.subscriptions.find(r.Event.Type, may)
		if len(to) == 0 {
			continue
		}
		delivered, err := newDelivery(r.Event, d.now())
		if err != nil {
			return nil, err
		}
		for _, s := range to {
			starts, of = append(starts, start{delivery: delivered, to: s}), append(of, i)
		}
	}
	d.startAll(ctx, starts)
	for n := range starts {
		if err := starts[n].err; err != nil {
			d.logger.Warn("events not accepted", firing.Reference(starts[n].to.Workflow, starts[n].to.Trigger), "error", err)
			return nil, fault.New(fault.Unavailable, "not every run could be stored: send the events again; stored runs are recognized by source and id").Because(err)
		}
		if run := starts[n].run; run != (runs.ID{}) {
			receipts[of[n]].Runs = append(receipts[of[n]].Runs, run)
		}
	}
	return receipts, nil
}
