package engine

import (
	"context"
	"errors"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// readable turns the error of a damaged run into part of the run, which people can look at then.
func readable(run runs.Run, err error) (runs.Run, error) {
	if !errors.Is(err, runs.ErrDamaged) {
		return run, err
	}
	message := fault.Message(err)
	if run.Error != nil {
		message = run.Error.Message + "; " + message
	}
	shown := runs.RunError{Code: nodes.CodeInternal, Message: message}
	if run.Error != nil {
		shown.Node, shown.Code = run.Error.Node, run.Error.Code
	}
	run.Error = &shown
	return run, nil
}

// Find returns a run without its steps. Of a damaged run it returns what can be read, and an
// error of the run that says so.
func (e *Engine) Find(ctx context.Context, id runs.ID) (runs.Run, error) {
	return readable(e.o.Store.Run(ctx, id))
}
