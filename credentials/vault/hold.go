package vault

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// Connected is false while a person must connect the credential. One that is gone or damaged
// counts as connected: connecting it would not help.
func (ch *Checks) Connected(ctx context.Context, id credentials.ID) (bool, error) {
	o, err := ch.reader.open(ctx, id)
	e, ok := errors.AsType[*credentials.Error](err)
	switch {
	case err == nil:
		return !o.State.NeedsPerson(), nil
	case ok && e.Code == credentials.CodeUnknown, fault.Is(err, fault.Conflict):
		return true, nil
	default:
		return false, err
	}
}

// hold marks an error after which the caller can give up and come back when the credential has
// been connected: nothing was done.
func hold(err error, parks bool) error {
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok || e.Code != credentials.CodeNeedsConnect || !parks {
		return err
	}
	later := *e // all who waited for the token have this error
	later.Hold = true
	return &later
}

// outdated reports whether the last renewal here ended in the wish that a person connects the
// credential, and somebody has done so since, perhaps in another process.
func (r *renewals) outdated(o *opened) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := errors.AsType[*credentials.Error](r.of(o.ID).failure.err)
	return ok && e.Code == credentials.CodeNeedsConnect && !o.State.NeedsPerson()
}
