package credential

import (
	"context"
	"net/url"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/presets"
	"keyflow/credentials/transfer"
	"keyflow/engine/runs"
	"keyflow/internal/identity"
)

// Vault is the part of the vault that the API shows. Every method authorizes the
// caller itself; errors are faults.
type Vault interface {
	records
	tests
	rotation
	connects
	users
	forms
}

type records interface {
	// Import creates and changes many, all or none.
	Import(ctx context.Context, caller identity.Caller, o credentials.ImportOptions, file transfer.File) (credentials.ImportPlan, error)
	Create(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.Credential, error)
	Get(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error)
	List(ctx context.Context, caller identity.Caller, f credentials.Filter) ([]credentials.Credential, error)
	// Replace and Patch change only the revision that the caller saw (-1: any), else Stale.
	Replace(ctx context.Context, caller identity.Caller, id credentials.ID, in credentials.Input, expect int64) (credentials.Credential, error)
	Patch(ctx context.Context, caller identity.Caller, id credentials.ID, patch []byte, expect int64) (credentials.Credential, error)
	Delete(ctx context.Context, caller identity.Caller, id credentials.ID, force bool) error
	Versions(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.VersionInfo, error)
}

type rotation interface {
	Stage(ctx context.Context, caller identity.Caller, id credentials.ID, fields map[string]any) (credentials.Credential, error)
	Unstage(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error)
	TestCandidate(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error)
	Promote(ctx context.Context, caller identity.Caller, id credentials.ID, how credentials.Promotion) (credentials.Credential, error)
	// Rollback restores the fields of a version; 0 is the previous one.
	Rollback(ctx context.Context, caller identity.Caller, id credentials.ID, version int) (credentials.Credential, error)
}

type users interface {
	// Usages lists what names a credential or used it at run time.
	Usages(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.Usage, error)
}

type tests interface {
	Test(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error)
	TestInput(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.TestResult, error)
}

type connects interface {
	// Connect begins an authorization for the browser session and returns the URL to open.
	Connect(ctx context.Context, caller identity.Caller, id credentials.ID, session string) (string, error)
	// Callback ends it with what the provider sent back; the session must be the one that began it.
	Callback(ctx context.Context, caller identity.Caller, session string, query url.Values) (credentials.Credential, error)
	Disconnect(ctx context.Context, caller identity.Caller, id credentials.ID) error
	Refresh(ctx context.Context, caller identity.Caller, id credentials.ID) error
}

// forms lists authentication types and presets.
type forms interface {
	Types() []authtype.Type
	Presets() []presets.Preset
}

// Uses reads from the run history how credentials were used. It does not authorize the
// caller; the filter's folder limits the result.
type Uses interface {
	Uses(ctx context.Context, f runs.UseFilter) ([]runs.CredentialUse, error)
}
