package outbound

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/certificate"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/internal/throttle"
	"keyflow/credentials/token"
	"keyflow/credentials/usage"
)

// Resolver turns a reference into an authenticated HTTP client. It is safe for concurrent use.
type Resolver struct {
	Base         http.RoundTripper
	Gate         *access.Gate
	Reader       *decrypted.Reader
	Tokens       *token.Tokens
	Provider     *token.Provider
	States       *status.States
	Certificates *certificate.Certificates
	Throttles    *throttle.Throttles
	Usage        *usage.Log
	// FallBack is called when an upstream refused a version; it reports whether another one is in
	// force now.
	FallBack func(ctx context.Context, o *decrypted.Credential) bool
	Now      func() time.Time
	Log      *slog.Logger

	authenticators authenticators
}

func awaitReady(ctx context.Context, u *credentials.Use) {
	if u.Ready != nil {
		u.Ready(ctx)
	}
}

var _ http.RoundTripper = (*plainTransport)(nil)
