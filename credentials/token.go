package credentials

import (
	"context"
	"time"
)

// Token is the token state of one credential. Its content is sealed by the vault.
type Token struct {
	Credential ID
	// Generation counts the answers stored, 0 before the first; it never falls, also when
	// the token is given up (Sealed nil).
	Generation int64
	// Grant is the Record.Grant of the configuration that got the token; another one makes it
	// unusable.
	Grant  int64
	Sealed []byte
	// RenewalStarted says when a renewal of this generation began; zero when none did.
	RenewalStarted time.Time
}

// Connect is one authorization-code connect under way.
type Connect struct {
	Hash       []byte // SHA-256 of the state parameter; the parameter itself is not stored
	Credential ID
	Session    string // hash of the session that began it
	Grant      int64
	Sealed     []byte // what the callback needs (PKCE verifier), sealed by the vault
	ExpiresAt  time.Time
}

// TokenStore keeps what OAuth providers hand out, apart from the configuration: no
// statement writes both. It is safe for concurrent use.
type TokenStore interface {
	// Token returns the token state; the zero Token with Credential set when there is none.
	Token(ctx context.Context, id ID) (Token, error)
	// SwapToken stores next if the stored generation is still seen (0 also when there is none)
	// and the credential exists, and reports whether it did.
	SwapToken(ctx context.Context, next Token, seen int64) (bool, error)
	// FailToken is Store.SetState under the further condition that the token is still of this
	// generation: what a renewal says of a token that was replaced meanwhile means nothing.
	FailToken(ctx context.Context, id ID, generation, revision int64, s State) (bool, error)
	// Lease gives holder alone the right to renew the token, or extends it, for life. left is 0
	// then; otherwise another has the right and loses it after left. now is the caller's clock;
	// a store that processes share goes by its own. A missing credential is NotFound.
	Lease(ctx context.Context, id ID, holder string, life time.Duration, now time.Time) (left time.Duration, err error)
	// Release ends a lease of holder, if it has it.
	Release(ctx context.Context, id ID, holder string) error
	// PutConnect stores a connect under way and forgets those that have expired by now.
	PutConnect(ctx context.Context, c Connect, now time.Time) error
	// TakeConnect removes and returns the connect in one statement, so that a state works once.
	// It is NotFound when unknown, used or expired by now.
	TakeConnect(ctx context.Context, hash []byte, now time.Time) (Connect, error)
}
