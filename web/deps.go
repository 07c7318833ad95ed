package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/presets"
	"keyflow/credentials/transfer"
	"keyflow/credentials/vault"
	"keyflow/engine"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/triggers/event"
	"keyflow/web/session"
	"keyflow/workflows"
)

// Deps is what the handler stands on. Everything but the last block is required.
type Deps struct {
	Session     *session.Service
	Credentials Credentials // *credentials.Vault
	Workflows   Workflows   // *workflows.Catalog
	Runs        Runs        // *engine.Engine
	Uses        Uses        // *engine/sqlstore.Store
	Triggers    Triggers    // *triggers.Manager
	// Hooks answers /hooks/ and everything below it; its answers are treated as hostile.
	Hooks http.Handler
	// Callbacks answers /callbacks/ and everything below it, as Hooks does.
	Callbacks http.Handler
	// Ready is nil while the process can accept and do work (database, key, queue).
	Ready func(ctx context.Context) error
	// Backup writes a copy of the database to a new file; nil cannot.
	Backup func(ctx context.Context, path string) error
	// PublicURL is where people reach this Keyflow. Links, cookies and the origin check are
	// made from it, never from request headers.
	PublicURL *url.URL

	// Stopping, when closed, ends streams that would otherwise keep the server from stopping; nil never.
	Stopping <-chan struct{}
	// TrustedProxies are those whose X-Forwarded-For counts; none by default.
	TrustedProxies []netip.Prefix
	// Metrics is where /metrics reads from and the handler counts; nil is a new registry.
	Metrics *prometheus.Registry
	// WriteTimeout is how long a reader may take to accept a piece of an answer; 0 is 30 s.
	WriteTimeout time.Duration
	Version      string
	Now          func() time.Time // nil: time.Now
	Logger       *slog.Logger     // nil: discards
}

// Credentials is the part of the vault that the API shows. Every method authorizes the
// caller itself; errors are faults.
type Credentials interface {
	credentialRecords
	credentialTests
	credentialRotation
	credentialConnects
	masterKeys
	credentialUsers
	credentialForms
}

type credentialRecords interface {
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

type credentialRotation interface {
	Stage(ctx context.Context, caller identity.Caller, id credentials.ID, fields map[string]any) (credentials.Credential, error)
	Unstage(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error)
	TestCandidate(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error)
	Promote(ctx context.Context, caller identity.Caller, id credentials.ID, how credentials.Promotion) (credentials.Credential, error)
	// Rollback brings the fields of a version back; 0 is the former one.
	Rollback(ctx context.Context, caller identity.Caller, id credentials.ID, version int) (credentials.Credential, error)
}

type credentialUsers interface {
	// Usages lists who names a credential or used it at run time.
	Usages(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.Usage, error)
}

type credentialTests interface {
	Test(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error)
	TestInput(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.TestResult, error)
}

type credentialConnects interface {
	// Connect begins an authorization for the browser session and returns where to send the person.
	Connect(ctx context.Context, caller identity.Caller, id credentials.ID, session string) (string, error)
	// Callback ends it with what the provider sent back; the session must be the one that began it.
	Callback(ctx context.Context, caller identity.Caller, session string, query url.Values) (credentials.Credential, error)
	Disconnect(ctx context.Context, caller identity.Caller, id credentials.ID) error
	Refresh(ctx context.Context, caller identity.Caller, id credentials.ID) error
}

// credentialForms says what a credential can be.
type credentialForms interface {
	Types() []authtype.Type
	Presets() []presets.Preset
}

// masterKeys are for administrators.
type masterKeys interface {
	Keys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error)
	// RotateKeys begins a re-encryption in the background, or joins the one under way.
	RotateKeys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error)
}

// Workflows is the part of the catalog that the API shows. Methods with a caller authorize it.
type Workflows interface {
	workflowReads
	workflowChanges
}

type workflowChanges interface {
	Apply(ctx context.Context, caller identity.Caller, id workflows.ID, source []byte, expect int) (workflows.Applied, error)
	SetEnabled(ctx context.Context, caller identity.Caller, id workflows.ID, enabled bool) (workflows.Summary, error)
	Delete(ctx context.Context, caller identity.Caller, id workflows.ID) error
}

type workflowReads interface {
	Get(ctx context.Context, caller identity.Caller, id workflows.ID) (workflows.Summary, workflows.Version, error)
	List(ctx context.Context, caller identity.Caller, f workflows.Filter) ([]workflows.Summary, error)
	Versions(ctx context.Context, caller identity.Caller, id workflows.ID) ([]workflows.Version, error)
	Version(ctx context.Context, caller identity.Caller, id workflows.ID, number int) (workflows.Version, error)
	Validate(ctx context.Context, source []byte) (problems, warnings []workflows.Problem)
}

// Runs is the part of the engine that the API shows. It authorizes nobody: the handlers do,
// on the folder of the workflow or run.
type Runs interface {
	runReads
	runChanges
}

type runReads interface {
	Wait(ctx context.Context, id runs.ID) (runs.Run, error)
	// Find returns a run without its steps, Run with all of them.
	Find(ctx context.Context, id runs.ID) (runs.Run, error)
	Run(ctx context.Context, id runs.ID) (runs.Run, []runs.Step, error)
	Steps(ctx context.Context, f runs.StepFilter) ([]runs.Step, error)
	StepCounts(ctx context.Context, id runs.ID) (map[runs.StepStatus]int, error)
	Runs(ctx context.Context, f runs.Filter) ([]runs.Run, error)
	Watch(ctx context.Context, id runs.ID) (<-chan live.Update, error)
}

type runChanges interface {
	Start(ctx context.Context, s engine.Start) (engine.Started, error)
	Cancel(ctx context.Context, id runs.ID) error
	Retry(ctx context.Context, r engine.Retry) (engine.Started, error)
	// Bring gives a waiting step what it waits for.
	Bring(ctx context.Context, id runs.ID, node workflows.NodeID, reason string, output any) error
	Delete(ctx context.Context, id runs.ID) error
}

// Uses reads from the run history how credentials were used. It authorizes nobody; the
// filter's folder keeps to what the caller may see.
type Uses interface {
	Uses(ctx context.Context, f runs.UseFilter) ([]runs.CredentialUse, error)
}

// Triggers lists what starts workflows, and takes events. It authorizes nobody but by Sent.May.
type Triggers interface {
	Receive(ctx context.Context, in event.Sent) ([]event.Receipt, error)
	List(ctx context.Context, f triggers.Filter) ([]triggers.Trigger, error)
}

var (
	_ Credentials = (*vault.Vault)(nil)
	_ Workflows   = (*workflows.Catalog)(nil)
	_ Runs        = (*engine.Engine)(nil)
	_ Triggers    = (*triggers.Manager)(nil)
)

// rawJSON is stored JSON that is passed on byte for byte; nil is null.
type rawJSON = json.RawMessage
