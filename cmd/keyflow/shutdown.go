package main

import (
	"context"
	"errors"
	"net/http"
)

// errPartEnded is the cause when a part of the process ends and the others end with it, without
// waiting for anything.
var errPartEnded = errors.New("a part of the process ended")

// shutDown waits until ctx is done, then ends a server. It waits for open requests, unless the
// engine has ended: their callers would wait for runs that another process finishes.
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
