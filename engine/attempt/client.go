package attempt

import (
	"net/http"
	"strconv"

	"keyflow/credentials"
	"keyflow/nodes"
)

// Client implements nodes.Env.
func (s *Attempt) Client(o nodes.ClientOptions) (*http.Client, error) {
	run := s.Run
	client, err := s.process.Credentials.Client(s.ctx, credentials.Use{
		ID: s.credential, Workflow: string(run.Workflow), Folder: run.Folder,
		Run: run.ID.String(), Node: string(s.Node.ID), AtMostOnce: s.Node.AtMostOnce,
		MaxRedirects: o.MaxRedirects, MaxBytes: o.MaxBytes, Charset: o.Charset, Record: s.record,
		Header: http.Header{DepthHeader: {strconv.Itoa(run.Depth + 1)}},
		Park:   true, Idle: s.clock.stand, Ready: s.host.AwaitOwnership,
	})
	if err != nil {
		return nil, nodeError(s.ctx, err)
	}
	return client, nil
}

// DepthHeader carries how many workflow starts led to a request, so that a workflow which starts
// itself through a webhook ends at MaxDepth.
const DepthHeader = "Keyflow-Depth"
