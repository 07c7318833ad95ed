package credentials

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"keyflow/internal/identity"
)

// Options says what a vault stands on.
type Options struct {
	Store  Store      // required
	Tokens TokenStore // required
	Keyset *Keyset    // required
	// PublicURL is where people reach this Keyflow, without a trailing slash; OAuth redirect
	// URLs are built from it.
	PublicURL string
	// Usages finds the workflows that name a credential; nil finds none.
	Usages func(ctx context.Context, id ID) ([]Usage, error)
	// Transport sends tests and token requests; required by Test, Connect and Resolver.
	Transport http.RoundTripper
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
}

// Vault keeps credentials. It is safe for concurrent use.
type Vault struct {
	store     Store
	tokens    TokenStore
	keys      *Keyset
	publicURL string
	usages    func(ctx context.Context, id ID) ([]Usage, error)
	transport http.RoundTripper
	now       func() time.Time
	log       *slog.Logger
	types     map[TypeName]*Type
}

// New returns a vault that is ready for use.
func New(o Options) (*Vault, error) { return nil, nil }

// Serve writes last uses until ctx is done.
func (v *Vault) Serve(ctx context.Context) error { return nil }

// Close writes what Serve has not written yet.
func (v *Vault) Close(ctx context.Context) error { return nil }

// current opens a credential for an operation of caller, who needs right in its folder; it is
// NotFound when missing or when the caller may not see it.
func (v *Vault) current(ctx context.Context, caller identity.Caller, right identity.Right, id ID) (*opened, error) {
	return nil, notFound(id)
}

// draft opens values that are not saved, for tests. Secrets that in leaves out come from the
// stored credential of the same id, unless the draft could send them somewhere new.
func (v *Vault) draft(ctx context.Context, caller identity.Caller, in Input) (*opened, error) {
	return nil, nil
}

// view completes a record for the outside: redirect URL, warnings, defaults.
func (v *Vault) view(c Credential) Credential { return c }
