package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// CheckAct is Check for a node that works on the credential itself: it is Forbidden, too, when
// rotatable_by does not name the workflow. It returns the credential's secret fields.
func (ch *Checks) CheckAct(ctx context.Context, id credentials.ID, workflow, folder string) (secrets []string, err error) {
	r, err := ch.checkUse(ctx, id, workflow, folder)
	if err != nil {
		return nil, err
	}
	if !reach.AllowWorkflow(r.RotatableBy, folder, workflow) {
		return nil, fault.New(fault.Forbidden, "%s", NotRotatable(id, folder, workflow))
	}
	t := authtype.Named(r.Type)
	if t == nil {
		return nil, nil
	}
	return authtype.SecretNames(t, r.Fields, nil), nil
}

// NotRotatable says that rotatable_by does not name a workflow.
func NotRotatable(id credentials.ID, folder, workflow string) string {
	return "credential \"" + string(id) + "\" may not be tested, refreshed or rotated by the workflow \"" + workflow +
		"\" in folder " + folder + "; add it to the credential's rotatable_by"
}

// Check reports whether a workflow may name the credential: NotFound when it does not exist,
// Forbidden when allowed_workflows does not list the workflow.
func (ch *Checks) Check(ctx context.Context, id credentials.ID, workflow, folder string) error {
	_, err := ch.checkUse(ctx, id, workflow, folder)
	return err
}

// RequireUse is Forbidden when the credential exists and the caller may not use credentials in
// its folder. An unknown one is nobody's secret: nil.
func (ch *Checks) RequireUse(ctx context.Context, caller identity.Caller, id credentials.ID) error {
	r, err := ch.Records.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || caller.May(identity.UseCredentials, r.Folder) {
		return err
	}
	return fault.New(fault.Forbidden, "%s may not use the credential %q", caller.Name, id)
}

// CheckInbound is Check for the credential of an inbound webhook; Invalid when it cannot
// verify requests.
func (ch *Checks) CheckInbound(ctx context.Context, id credentials.ID, workflow, folder string) error {
	r, err := ch.checkUse(ctx, id, workflow, folder)
	if err != nil {
		return err
	}
	if t := authtype.Named(r.Type); t == nil || t.Verify == nil {
		return fault.Problems(fmt.Sprintf("credential %q cannot verify webhooks", id), []fault.Problem{{
			Code: problem.NotSupported, Message: authtype.CannotVerify(id, r.Type),
		}})
	}
	if r.Type != credentials.TypeBasicAuth || r.Secrets["password"].Set {
		return nil
	}
	return fault.Problems(fmt.Sprintf("credential %q cannot verify webhooks", id), []fault.Problem{{Code: problem.SecretRequired, Message: NoSecret(id)}})
}

func (ch *Checks) checkUse(ctx context.Context, id credentials.ID, workflow, folder string) (credentials.Record, error) {
	r, err := ch.Records.Get(ctx, id)
	if err != nil {
		return r, err
	}
	if patterns := decrypted.Complete(r.Credential).AllowedWorkflows; !reach.AllowWorkflow(patterns, folder, workflow) {
		return r, fault.New(fault.Forbidden, "credential %q may not be used by %s: its allowed_workflows are %s",
			id, strings.TrimSuffix(folder, "/")+"/"+workflow, reach.List(patterns))
	}
	return r, nil
}

// Connected is false while a person must connect the credential. One that is gone or damaged
// counts as connected: connecting it would not help.
func (ch *Checks) Connected(ctx context.Context, id credentials.ID) (bool, error) {
	o, err := ch.Reader.Open(ctx, id)
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

// NoSecret says that a credential without a secret verifies nobody.
func NoSecret(id credentials.ID) string {
	return fmt.Sprintf("credential %q holds no secret, so whoever knows the user name would be let in; give it a password to verify webhooks with", id)
}
