package vault

import (
	"context"
	"net/http"
	"net/url"

	"keyflow/credentials"
	"keyflow/credentials/transfer"
	"keyflow/internal/identity"
)

// The methods of a [Vault] by the service that they come from; the contract of each stands at its
// method there. A vault holds its services behind these interfaces, so that nothing else of a service,
// such as a decrypted credential, can be reached through it.

// records manages credentials: *Records.
type records interface {
	Create(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.Credential, error)
	Get(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error)
	List(ctx context.Context, caller identity.Caller, f credentials.Filter) ([]credentials.Credential, error)
	Replace(ctx context.Context, caller identity.Caller, id credentials.ID, in credentials.Input, expect int64) (credentials.Credential, error)
	Patch(ctx context.Context, caller identity.Caller, id credentials.ID, patch []byte, expect int64) (credentials.Credential, error)
	Delete(ctx context.Context, caller identity.Caller, id credentials.ID, force bool) error
}

// checks says who may name or use a credential: *Checks.
type checks interface {
	CheckAct(ctx context.Context, id credentials.ID, workflow, folder string) (secrets []string, err error)
	Check(ctx context.Context, id credentials.ID, workflow, folder string) error
	RequireUse(ctx context.Context, caller identity.Caller, id credentials.ID) error
	CheckInbound(ctx context.Context, id credentials.ID, workflow, folder string) error
	Connected(ctx context.Context, id credentials.ID) (bool, error)
}

// tests tries credentials: *Tests.
type tests interface {
	Test(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error)
	TestInput(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.TestResult, error)
}

// connections connects credentials at their providers: *Connections.
type connections interface {
	Connect(ctx context.Context, caller identity.Caller, id credentials.ID, session string) (authorizationURL string, err error)
	Callback(ctx context.Context, caller identity.Caller, session string, query url.Values) (credentials.Credential, error)
	Disconnect(ctx context.Context, caller identity.Caller, id credentials.ID) error
	Refresh(ctx context.Context, caller identity.Caller, id credentials.ID) error
}

// rotations changes fields by versions, candidates and rollbacks: *Rotation.
type rotations interface {
	Stage(ctx context.Context, caller identity.Caller, id credentials.ID, fields map[string]any) (credentials.Credential, error)
	Unstage(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error)
	TestCandidate(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error)
	Promote(ctx context.Context, caller identity.Caller, id credentials.ID, p credentials.Promotion) (credentials.Credential, error)
	Rotate(ctx context.Context, use credentials.Use, fields map[string]any) (credentials.Credential, error)
	Versions(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.VersionInfo, error)
	Rollback(ctx context.Context, caller identity.Caller, id credentials.ID, version int) (credentials.Credential, error)
}

// actions does what workflows ask to be done with a credential itself: *Actions.
type actions interface {
	Act(ctx context.Context, use credentials.Use, a credentials.Action) (map[string]any, error)
}

// outputs seals the outputs of sensitive nodes: *Outputs.
type outputs interface {
	SealOutput(run, node string, index int, output []byte) ([]byte, error)
	OpenOutput(run, node string, index int, sealed []byte) ([]byte, error)
}

// importer changes many credentials at once: *Importer.
type importer interface {
	Import(ctx context.Context, caller identity.Caller, o credentials.ImportOptions, file transfer.File) (credentials.ImportPlan, error)
}

// verifier verifies inbound webhooks: *Verifier.
type verifier interface {
	Verify(ctx context.Context, id credentials.ID, workflow, folder string, r *http.Request, body []byte) (verified []string, err error)
	Unverify(ctx context.Context, id credentials.ID, r *http.Request, body []byte)
}

// usageReports says who uses credentials: *UsageReports.
type usageReports interface {
	Usages(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.Usage, error)
	ForgetUsages(ctx context.Context) error
}

// masterKey rotates the master key: *MasterKey.
type masterKey interface {
	Keys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error)
	RotateKeys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error)
	FinishRotation(ctx context.Context) error
}
