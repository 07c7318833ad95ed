// Package vault is the front door of the credential store. It composes the packages that do the
// work: internal/decrypted decrypts secrets, outbound attaches them to requests.
//
//	Vault     create, read, change, test credentials; every method takes the caller,
//	          authorizes and records in one function
//	Resolver  turns a reference (an id in a workflow) into an authenticated *http.Client
//	          at the moment of the call
//
// Nobody outside gets a secret: API and pages get fingerprints, nodes get clients. The
// package must not know workflows, nodes, runs or HTTP handlers.
package vault

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/outbound"
	"keyflow/credentials/presets"
	"keyflow/credentials/sources"
	"keyflow/credentials/token"
	"keyflow/credentials/usage"
)

const startTimeout = 10 * time.Second

// Options says what a vault stands on.
type Options struct {
	Store  credentials.Store       // required
	Tokens credentials.TokenStore  // required
	Limits credentials.LimitStore  // required
	Canary credentials.CanaryStore // required
	Keyset *masterkey.Keyset       // required
	// PublicURL is where people reach this Keyflow; OAuth redirect URLs are built from it.
	PublicURL string
	// Sources reads secrets kept elsewhere, where references lead; nil has none switched on.
	Sources *sources.Sources
	// Usages finds the workflows that name a credential; nil finds none.
	Usages func(ctx context.Context, id credentials.ID) ([]credentials.Usage, error)
	// Connected, when not nil, is called with a credential that a person had to connect and that
	// can be used now, or is gone. It must not block.
	Connected func(id credentials.ID)
	// Users says which workflows name some credentials, and which of others exist; nil: uses at
	// run time keep no credential, and UsedBy is 0.
	Users func(ctx context.Context, ids []credentials.ID, workflows []string) (credentials.Users, error)
	// Seen keeps uses at run time, Reminders publishes that credentials end; nil: nobody does.
	Seen      credentials.UsageStore
	Reminders credentials.ReminderStore
	// Transport sends tests, token requests and the requests of Resolver's clients.
	Transport http.RoundTripper
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
}

// Vault keeps credentials. Its methods are those of the services that it is composed of. It is
// safe for concurrent use.
type Vault struct {
	records
	checks
	tests
	connections
	rotations
	actions
	outputs
	importer
	verifier
	usageReports
	masterKey

	sources     *sources.Sources
	presets     []presets.Preset
	redirectURL string
	services    services
}

// withDefaults fills in what may be nil.
func (o Options) withDefaults() Options {
	if o.Usages == nil {
		o.Usages = func(context.Context, credentials.ID) ([]credentials.Usage, error) { return nil, nil }
	}
	if o.Connected == nil {
		o.Connected = func(credentials.ID) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Types lists the authentication types in the order of the form.
func (v *Vault) Types() []authtype.Type {
	types := authtype.All()
	for _, t := range types {
		for i := range t.Fields {
			if t.Fields[i].Secret || t.Fields[i].SecretIf != "" {
				t.Fields[i].Sources = v.sources.Kinds()
			}
		}
	}
	return types
}

// RedirectURL is what a person registers at an OAuth provider.
func (v *Vault) RedirectURL() string { return v.redirectURL }

// Resolver returns the resolver of this vault.
func (v *Vault) Resolver() *outbound.Resolver { return v.services.resolver }

// Presets lists the presets, ordered by id.
func (v *Vault) Presets() []presets.Preset { return slices.Clone(v.presets) }

// services are the parts of a vault that others have no access to.
type services struct {
	reader    *decrypted.Reader
	editor    *editing.Editor
	states    *status.States
	tokens    *token.Tokens
	resolver  *outbound.Resolver
	usage     *usage.Log
	reminders *usage.Reminders
	masterKey *masterkey.Rotation
}
