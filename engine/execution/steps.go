package execution

import (
	"time"

	"keyflow/credentials"
	"keyflow/engine/attempt"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
)

// steps are those that have started and not ended, with what was delivered to them.
type steps struct {
	live     map[state.StepKey]*liveStep            // at work or waiting
	external map[state.StepKey]*runs.ExternalResult // may be nil
	unarmed  []state.StepKey                        // waiting steps without a timer
	newest   time.Time                              // of all events; grows with each, so that they can be replayed in order
}

// liveStep is a step between its start and its end.
type liveStep struct {
	status   runs.StepStatus // running or waiting
	begun    bool            // of a running step: its attempt has begun
	attempts []runs.Attempt  // those that ended
	calls    []credentials.Call
	started  time.Time      // when the first attempt, or a wait before it, began; zero before
	current  time.Time      // of the attempt at work
	due      time.Time      // of a waiting step
	connect  credentials.ID // of a waiting step: the credential it waits for
	// connectEnd is until when the step waits for its credential, also between two waits without
	// an attempt; zero when it does not.
	connectEnd time.Time
	awaits     string  // of a waiting step: what else can end the wait, a nodes.CodeWaitsFor…
	child      runs.ID // the run that a workflow node started and waits for
	timer      *time.Timer
}

// begins notes when the step began, by its first outcome: that of an attempt, or that it
// has to wait, which is no attempt but counts in how long the step took.
func (s *liveStep) begins(out *attempt.Outcome, at time.Time) {
	switch {
	case !s.started.IsZero():
	case out.Attempt != nil:
		s.started = out.Attempt.StartedAt
	case out.Kind == state.Postponed:
		s.started = at
	}
}

// readyToTry is when the attempt at work could have begun, also when it had to wait since.
func (s *liveStep) readyToTry(retry *plan.RetryPolicy) time.Time {
	at := s.started
	if n := len(s.attempts); n > 0 && s.attempts[n-1].FinishedAt != nil {
		at = s.attempts[n-1].FinishedAt.Add(retry.Delay(n, 0, 0))
	}
	if at.IsZero() || at.After(s.current) {
		return s.current
	}
	return at
}

// into fills in what a stored step says about its attempts.
func (s *liveStep) into(row *runs.Step) {
	if !s.started.IsZero() {
		row.StartedAt = &s.started
	}
	row.Attempts, row.Calls = s.attempts, s.calls
}

// connectUntil is until when the step waits for its credential: what it says already, else due.
func (s *liveStep) connectUntil(due time.Time) time.Time {
	if s.connectEnd.IsZero() {
		s.connectEnd = due
	}
	return s.connectEnd
}

// soonest is the earliest due time of the waiting steps; nil when none has one.
func (s *steps) soonest() *time.Time {
	var first *time.Time
	for _, step := range s.live {
		if !step.due.IsZero() && (first == nil || step.due.Before(*first)) {
			first = &step.due
		}
	}
	if first == nil {
		return nil
	}
	at := *first // the step goes on living
	return &at
}

// waiting lists the steps that wait.
func (s *steps) waiting() []state.StepKey {
	var keys []state.StepKey
	for key, step := range s.live {
		if step.status == runs.StepWaiting {
			keys = append(keys, key)
		}
	}
	return keys
}

// keepExternal notes an external result until the step has its own.
func (s *steps) keepExternal(key state.StepKey, x *runs.ExternalResult) {
	if s.external == nil {
		s.external = map[state.StepKey]*runs.ExternalResult{}
	}
	s.external[key] = x
}
