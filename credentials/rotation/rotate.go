package rotation

import (
	"context"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Rotate gives the credential new values for some of its fields (absent ones stay, null clears)
// on behalf of a workflow, which must match allowed_workflows and rotatable_by. The values are
// tested first; when that fails nothing changes. The former version comes back by itself if the
// new one is refused within grace, where that can be tested. The same values again change
// nothing. Errors are *Error: credential_refused with what the test found, workflow_not_allowed,
// invalid_param for values that are wrong, credential_unknown; or a fault of the store.
func (rt *Rotation) Rotate(ctx context.Context, use credentials.Use, fields map[string]any) (credentials.Credential, error) {
	if _, err := rt.Gate.OpenFor(ctx, use); err != nil {
		return credentials.Credential{}, err
	}
	record, err := rt.Records.Get(ctx, use.ID)
	if err != nil {
		return credentials.Credential{}, decrypted.UnknownOr(use.ID, err)
	}
	before, err := rt.Reader.Trusted(record)
	if err != nil {
		return credentials.Credential{}, access.InRun(use.ID, err)
	}
	old := before.Decrypted
	if !reach.AllowWorkflow(old.RotatableBy, use.Folder, use.Workflow) {
		return credentials.Credential{}, old.Failed(credentials.CodeWorkflowNotAllowed, nil, "%s", access.NotRotatable(old.ID, use.Folder, use.Workflow))
	}
	caller := identity.Caller{Name: "workflow:" + use.Workflow} // without the rights of a person
	o, err := rt.Editor.ComposeFields(caller, before, fields)
	if err != nil {
		return credentials.Credential{}, old.Failed(egress.CodeInvalidParam, err, "credential %q was not rotated: %s", old.ID, fault.Message(err))
	}
	result, err := rt.Prober.Draft(ctx, o)
	if err != nil {
		return credentials.Credential{}, err
	}
	if !result.OK {
		return credentials.Credential{}, old.Failed(credentials.CodeRefused, nil, "credential %q was not rotated, the new values did not pass the test: %s", old.ID, result.Message)
	}
	c, err := rt.Editor.Change(ctx, use.ID, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		now, err := rt.Editor.Still(record, before)
		if err != nil {
			return nil, err
		}
		by := editing.Author{Name: caller.Name, At: credentials.Moment(rt.Now()), Revision: revision, Origin: credentials.OriginRotation}
		return rt.promoted(now, o, by, promotion{tested: true, fallBack: canFallBack(o) == nil})
	})
	if fault.Is(err, fault.Stale) {
		return c, old.Failed(egress.CodeNetwork, err, "credential %q was changed while it was rotated; try again", old.ID)
	}
	return c, err
}
