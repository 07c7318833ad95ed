package vault

import (
	"context"

	"keyflow/credentials"
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
	if _, err := rt.gate.openFor(ctx, use); err != nil {
		return credentials.Credential{}, err
	}
	record, err := rt.records.Get(ctx, use.ID)
	if err != nil {
		return credentials.Credential{}, unknownOr(use.ID, err)
	}
	before, err := rt.reader.readTrusted(record)
	if err != nil {
		return credentials.Credential{}, inRun(use.ID, err)
	}
	old := before.opened
	if !reach.AllowWorkflow(old.RotatableBy, use.Folder, use.Workflow) {
		return credentials.Credential{}, old.failed(credentials.CodeWorkflowNotAllowed, nil, "%s", notRotatable(old.ID, use.Folder, use.Workflow))
	}
	caller := identity.Caller{Name: "workflow:" + use.Workflow} // without the rights of a person
	o, err := rt.editor.composeFields(caller, before, fields)
	if err != nil {
		return credentials.Credential{}, old.failed(egress.CodeInvalidParam, err, "credential %q was not rotated: %s", old.ID, fault.Message(err))
	}
	result, err := rt.prober.try(ctx, o)
	if err != nil {
		return credentials.Credential{}, err
	}
	if !result.OK {
		return credentials.Credential{}, old.failed(credentials.CodeRefused, nil, "credential %q was not rotated, the new values did not pass the test: %s", old.ID, result.Message)
	}
	c, err := rt.editor.change(ctx, use.ID, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		now, err := rt.editor.still(record, before)
		if err != nil {
			return nil, err
		}
		by := author{caller.Name, credentials.Moment(rt.now()), revision, credentials.OriginRotation}
		return rt.promoted(now, o, by, promotion{tested: true, fallBack: o.canFallBack() == nil})
	})
	if fault.Is(err, fault.Stale) {
		return c, old.failed(egress.CodeNetwork, err, "credential %q was changed while it was rotated; try again", old.ID)
	}
	return c, err
}
