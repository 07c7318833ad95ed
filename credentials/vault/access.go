package vault

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/internal/identity"
)

// Gate opens credentials for those who may use them.
type Gate struct {
	reader  *Reader
	records credentials.Store
}

// Checks answers who may name or use a credential.
type Checks struct {
	reader  *Reader
	records credentials.Store
}

// current opens a credential for an operation of caller, who needs right in its folder; it is
// NotFound when missing or when the caller may not see it.
func (g *Gate) current(ctx context.Context, caller identity.Caller, right identity.Right, id credentials.ID) (*opened, error) {
	o, err := g.reader.open(ctx, id)
	if err != nil {
		if e, ok := errors.AsType[*credentials.Error](err); ok && e.Code == credentials.CodeUnknown {
			return nil, credentials.NotFound(id)
		}
		return nil, err
	}
	return o, authorize(caller, right, id, o.Folder)
}

// authorize requires a right in the folder of a credential that exists. Who may not see it is
// told that it does not exist.
func authorize(caller identity.Caller, right identity.Right, id credentials.ID, folder string) error {
	if !caller.May(identity.View, folder) {
		return credentials.NotFound(id)
	}
	return caller.Require(right, folder)
}
