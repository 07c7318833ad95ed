package engine

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/internal/jsonvalue"
)

// Cancel stops a run: nothing more starts, requests in flight are given up. It returns once
// the wish is on disk. Conflict when the run is final.
func (e *Engine) Cancel(ctx context.Context, id runs.ID) error {
	out, err := e.journal.Write(ctx, runs.Entry{Signal: &runs.Signal{Run: id, Kind: runs.SignalCancel}})
	if err != nil {
		return err
	}
	e.dispatcher.Woken(out.Woken)
	e.dispatcher.Signaled(id)
	return nil
}

// Run returns a run with its steps. Steps at work in this process are shown as they are;
// the output of a for_each is collected from its elements when it is small enough to read. Of what
// is damaged it returns what can be read, with an error that says so.
func (e *Engine) Run(ctx context.Context, id runs.ID) (runs.Run, []runs.Step, error) {
	run, err := e.Find(ctx, id)
	if err != nil {
		return runs.Run{}, nil, err
	}
	steps, err := e.o.Store.Steps(ctx, id)
	if err != nil && !errors.Is(err, runs.ErrDamaged) {
		return runs.Run{}, nil, err
	}
	if r := e.running(id); r != nil {
		steps = overlay(steps, r.AtWork())
	}
	e.collect(steps)
	withoutPendingOutputs(steps)
	return run, steps, nil
}

// Runs lists runs, newest first, without payloads.
func (e *Engine) Runs(ctx context.Context, f runs.Filter) ([]runs.Run, error) {
	return e.o.Store.Runs(ctx, f)
}

// Delete removes a final run with its steps. Conflict when the run is not final.
func (e *Engine) Delete(ctx context.Context, id runs.ID) error { return e.o.Store.Delete(ctx, id) }

// collect fills in the outputs of aggregates: the list of their elements' outputs.
func (e *Engine) collect(steps []runs.Step) {
	type list struct {
		outputs map[int]any
		size    int
	}
	lists := map[string]*list{}
	for i := range steps {
		s := &steps[i]
		if s.Index == runs.NoIndex {
			continue
		}
		l := lists[string(s.Node)]
		if l == nil {
			l = &list{outputs: map[int]any{}}
			lists[string(s.Node)] = l
		}
		raw := s.Output
		if s.Status == runs.StepFailed {
			raw = values.FailedElement(s.Error)
		}
		l.outputs[s.Index], l.size = raw, l.size+len(raw)+1
	}
	for i := range steps {
		s := &steps[i]
		l := lists[string(s.Node)]
		if s.Index != runs.NoIndex || l == nil || s.Status != runs.StepSucceeded || l.size > e.o.MaxOutput {
			continue
		}
		out := make([]any, len(l.outputs))
		for j := range out {
			out[j] = l.outputs[j]
		}
		if raw, err := jsonvalue.Encode(out); err == nil {
			s.Output = raw
		}
	}
}

// Wait returns the run once it is final, or ctx's error.
func (e *Engine) Wait(ctx context.Context, id runs.ID) (runs.Run, error) {
	if r := e.running(id); r != nil {
		select {
		case <-r.Done():
			if final := r.Final(); final != nil {
				return *final, nil
			}
		case <-ctx.Done():
			return runs.Run{}, ctx.Err()
		}
	}
	return e.hub.Wait(ctx, id, e.Find)
}

// Watch sends the run and its steps as they are, then every change, and closes the channel
// after the final run or when ctx is done. A slow reader misses intermediate states only.
func (e *Engine) Watch(ctx context.Context, id runs.ID) (<-chan live.Update, error) {
	return e.hub.Watch(ctx, id, live.Source{Read: e.Run, Running: func(id runs.ID) bool { return e.running(id) != nil }})
}

// CredentialConnected says that a credential can be used again: the steps of all processes
// that wait for it go on. It returns at once.
func (e *Engine) CredentialConnected(id credentials.ID) { e.checks.CheckNow(id) }
