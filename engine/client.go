package engine

import (
	"net/http"
	"strconv"

	"keyflow/credentials"
	"keyflow/nodes"
)

// Client implements nodes.Env.
func (s *stepRun) Client(o nodes.ClientOptions) (*http.Client, error) {
	run := &s.runner.run
	client, err := s.runner.engine.o.Credentials.Client(s.ctx, credentials.Use{
		ID: s.credential, Workflow: string(run.Workflow), Folder: run.Folder,
		Run: run.ID.String(), Node: string(s.plan.ID), AtMostOnce: s.plan.AtMostOnce,
		MaxRedirects: o.MaxRedirects, MaxBytes: o.MaxBytes, Charset: o.Charset, Record: s.record,
		Header: http.Header{DepthHeader: {strconv.Itoa(run.Depth + 1)}},
		Park:   true, Idle: s.clock.stand, Ready: s.runner.awaitOwnership,
	})
	if err != nil {
		return nil, nodeError(s.ctx, err)
	}
	return client, nil
}

// DepthHeader tells a Keyflow how many workflow starts led to a request: a workflow that
// starts itself through a webhook ends at MaxDepth.
const DepthHeader = "Keyflow-Depth"
