package main

import (
	"context"
	"errors"
	"net/http"
)

// errPartEnded is why everything ends when one part of a process has: for its sake nothing is
// waited for.
var errPartEnded = errors.New("a part of the process ended")

// shutDown waits until ctx is done, then ends a server. Requests at work may go on to their
// end, unless the engine is gone: their callers would wait for runs that another process ends.
func shutDown(ctx context.Context, server *http.Server) error {
	<-ctx.Done()
	if errors.Is(context.Cause(ctx), errPartEnded) {
		return server.Close()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return server.Close()
	}
	return nil
}
