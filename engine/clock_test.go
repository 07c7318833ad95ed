package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/engine"
	"keyflow/nodes"
)

// A clock that is set back while a run goes on does not make its retries wait until the time
// of before has come again.
func TestRetryAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	var ahead atomic.Int64
	w.boot(engine.Options{Exclusive: true, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.n == 1 {
			ahead.Store(-int64(time.Hour))
			return nil, &nodes.Error{Code: nodes.CodeTimeout, Message: "slow"}
		}
		return c.n, nil
	}
	id := w.start(w.apply(`{"id": "back", "nodes": {"a": {"type": "call", "with": {"name": "a"}, "retry": {"max_attempts": 2, "initial": "100ms"}}}, "output": "{{ nodes.a.output }}"}`), "")
	if run, _ := w.wait(id); string(run.Output) != "2" {
		t.Errorf("the run gave %s, %v", run.Output, run.Error)
	}
}
