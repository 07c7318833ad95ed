// Package inbound verifies webhooks against a credential and accepts a signed request once. It must
// not know what a webhook starts.
package inbound

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/usage"
	"keyflow/internal/fault"
)

// Verifier verifies inbound webhooks. It is safe for concurrent use.
type Verifier struct {
	Reader  *decrypted.Reader
	Usage   *usage.Log
	Now     func() time.Time
	replays replays
}

// Verify checks an inbound webhook against a credential, in constant time; body is the raw body. A
// signed request is accepted once, see [Verifier.Unverify]. verified names the headers and query
// keys that carried the secret; they are not for the run's input. Errors: *Error (unknown, workflow
// not allowed), an Unauthenticated fault when the request does not prove itself ([ErrReceived] when
// it did so before), Invalid when the type cannot verify or no secret is set.
func (v *Verifier) Verify(ctx context.Context, id credentials.ID, workflow, folder string, r *http.Request, body []byte) (verified []string, err error) {
	o, err := v.Reader.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	if !o.AllowsWorkflow(folder, workflow) {
		return nil, &credentials.Error{
			Code: credentials.CodeWorkflowNotAllowed, ID: id,
			Message: fmt.Sprintf("credential %q may not be used by %s: its allowed_workflows are %s",
				id, strings.TrimSuffix(folder, "/")+"/"+workflow, reach.List(o.AllowedWorkflows)),
		}
	}
	if o.AuthType.Verify == nil {
		return nil, fault.New(fault.Invalid, "%s", authtype.CannotVerify(id, o.Type))
	}
	if o.Type == credentials.TypeBasicAuth && !o.HoldsSecret() { // a password may be empty for calls; here it would let everyone in
		return nil, fault.New(fault.Invalid, "%s", access.NoSecret(id))
	}
	if o, err = v.Reader.Resolved(ctx, o); err != nil {
		return nil, err
	}
	now := v.Now()
	found, ok := o.AuthType.Verify(&o.Values, authtype.Inbound{Request: r, Raw: body, Now: now})
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "the request does not carry the right credential")
	}
	if found.Once != "" && !v.replays.first(id, found, now) {
		return nil, credentials.ErrReceived
	}
	v.Usage.Touch(id, now)
	return found.CarriedIn, nil
}

// Unverify forgets that a request was verified. Call it when the request could not be taken
// after all, so that its sender may repeat it as it is.
func (v *Verifier) Unverify(ctx context.Context, id credentials.ID, r *http.Request, body []byte) {
	o, err := v.Reader.Open(ctx, id)
	if err != nil || o.AuthType.Verify == nil {
		return
	}
	if o, err = v.Reader.Resolved(ctx, o); err != nil {
		return
	}
	if found, ok := o.AuthType.Verify(&o.Values, authtype.Inbound{Request: r, Raw: body, Now: v.Now()}); ok && found.Once != "" {
		v.replays.forget(id, found)
	}
}
