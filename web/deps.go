package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/credentials/vault"
	"keyflow/engine"
	"keyflow/triggers"
	"keyflow/web/api/credential"
	"keyflow/web/api/run"
	"keyflow/web/api/system"
	"keyflow/web/api/trigger"
	"keyflow/web/api/workflow"
	"keyflow/web/oauth"
	"keyflow/web/session"
	"keyflow/workflows"
)

// Deps are the parts behind the handler. All but Backup and Options are required.
type Deps struct {
	Session     *session.Service
	Credentials Credentials      // *vault.Vault
	Workflows   workflow.Catalog // *workflows.Catalog
	Runs        run.Engine       // *engine.Engine
	Uses        credential.Uses  // *engine/sqlstore.Store
	Triggers    trigger.Manager  // *triggers.Manager
	// Hooks answers /hooks/ and everything below it; its answers are untrusted.
	Hooks http.Handler
	// Callbacks answers /callbacks/ and everything below it, as Hooks does.
	Callbacks http.Handler
	// Ready returns nil while the process can accept and do work (database, key, queue).
	Ready func(ctx context.Context) error
	// Backup writes a copy of the database to a new file; nil: not supported.
	Backup func(ctx context.Context, path string) error
	// PublicURL is the address of this Keyflow for its users. Links, cookies and the origin check
	// use it, never request headers.
	PublicURL *url.URL

	Options
}

// Options are the settings of the handler; the zero value works.
type Options struct {
	// Stopping, when closed, ends streams that would otherwise keep the server from stopping; nil never.
	Stopping <-chan struct{}
	// TrustedProxies are those whose X-Forwarded-For counts; none by default.
	TrustedProxies []netip.Prefix
	// Metrics is where /metrics reads from and the handler counts; nil is a new registry.
	Metrics *prometheus.Registry
	// WriteTimeout is how long a client may take to read a piece of an answer; 0 is 30 s.
	WriteTimeout time.Duration
	Version      string
	Now          func() time.Time // nil: time.Now
	Logger       *slog.Logger     // nil: discards
}

// Credentials is the part of the vault that the API shows.
type Credentials interface {
	credential.Vault
	system.MasterKeys
	oauth.Connects
}

var (
	_ Credentials      = (*vault.Vault)(nil)
	_ workflow.Catalog = (*workflows.Catalog)(nil)
	_ run.Engine       = (*engine.Engine)(nil)
	_ trigger.Manager  = (*triggers.Manager)(nil)
)
