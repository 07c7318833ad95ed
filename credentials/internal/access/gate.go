// Package access decides who may see, name, use and manage a credential: people by their rights in
// its folder, workflows by its allowed_workflows and rotatable_by. It must not know what is done
// with the credential.
package access

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Gate opens credentials for those who may use them.
type Gate struct {
	Reader  *decrypted.Reader
	Records credentials.Store
}

// Checks answers who may name or use a credential.
type Checks struct {
	Reader  *decrypted.Reader
	Records credentials.Store
}

// Current opens a credential for an operation of caller, who needs right in its folder; it is
// NotFound when missing or when the caller may not see it.
func (g *Gate) Current(ctx context.Context, caller identity.Caller, right identity.Right, id credentials.ID) (*decrypted.Credential, error) {
	o, err := g.Reader.Open(ctx, id)
	if err != nil {
		if e, ok := errors.AsType[*credentials.Error](err); ok && e.Code == credentials.CodeUnknown {
			return nil, credentials.NotFound(id)
		}
		return nil, err
	}
	return o, Authorize(caller, right, id, o.Folder)
}

// Authorize requires a right in the folder of a credential that exists. Who may not see it learns
// that it does not exist.
func Authorize(caller identity.Caller, right identity.Right, id credentials.ID, folder string) error {
	if !caller.May(identity.View, folder) {
		return credentials.NotFound(id)
	}
	return caller.Require(right, folder)
}

// OpenFor opens a credential for a workflow; the right is checked at each use, on the resolved id.
func (g *Gate) OpenFor(ctx context.Context, use credentials.Use) (*decrypted.Credential, error) {
	o, err := g.Reader.Open(ctx, use.ID)
	if err != nil {
		return nil, InRun(use.ID, err)
	}
	if !o.AllowsWorkflow(use.Folder, use.Workflow) {
		return nil, o.Failed(credentials.CodeWorkflowNotAllowed, nil,
			"credential %q may not be used by the workflow %q in folder %s; add it to the credential's allowed_workflows",
			o.ID, use.Workflow, use.Folder)
	}
	return o, nil
}

// InRun gives the error of a damaged record the form in which a run shows it.
func InRun(id credentials.ID, err error) error {
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	return &credentials.Error{Code: credentials.CodeRefused, ID: id, Message: fault.Message(err), Err: err}
}

// Managed reads a credential that the caller wants to change.
func (g *Gate) Managed(ctx context.Context, caller identity.Caller, id credentials.ID) (*decrypted.Current, error) {
	r, err := g.Records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := Authorize(caller, identity.ManageCredentials, id, r.Folder); err != nil {
		return nil, err
	}
	return g.Reader.Current(r)
}

// Trusted opens the record of an edit that keeps what the record says, which must be what was
// written.
func (g *Gate) Trusted(caller identity.Caller, id credentials.ID, record *credentials.Record) (*decrypted.Current, error) {
	if record == nil {
		return nil, credentials.NotFound(id)
	}
	if err := Authorize(caller, identity.ManageCredentials, id, record.Folder); err != nil {
		return nil, err
	}
	return g.Reader.Trusted(*record)
}

// Hold marks an error after which the caller can give up and come back when the credential has
// been connected: nothing was done.
func Hold(err error, parks bool) error {
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok || e.Code != credentials.CodeNeedsConnect || !parks {
		return err
	}
	later := *e // all who waited for the token have this error
	later.Hold = true
	return &later
}
