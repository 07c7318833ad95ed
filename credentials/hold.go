package credentials

import (
	"context"
	"errors"

	"keyflow/internal/fault"
)

// needsPerson reports whether nothing but a person's connect makes the credential work.
func needsPerson(s State) bool { return s.Status == NeedsConnect || s.Status == NeedsReconnect }

// Connected is false while a person must connect the credential. One that is gone or damaged
// counts as connected: connecting it would not help.
func (v *Vault) Connected(ctx context.Context, id ID) (bool, error) {
	o, err := v.open(ctx, id)
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return !needsPerson(o.State), nil
	case ok && e.Code == CodeUnknown, fault.Is(err, fault.Conflict):
		return true, nil
	default:
		return false, err
	}
}

// held marks an error after which the caller can give up and come back when the credential has
// been connected: nothing was done.
func (t *transport) held(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != CodeNeedsConnect || !t.parks() {
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
	e, ok := errors.AsType[*Error](r.of(o.ID).failure.err)
	return ok && e.Code == CodeNeedsConnect && !needsPerson(o.State)
}
