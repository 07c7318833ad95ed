package session

import (
	"context"
	"time"

	"keyflow/internal/identity"
)

// Account is a person who signs in with a password.
type Account struct {
	Name         string // as normalized by the service: lower case, trimmed
	PasswordHash string // PHC string
	Role         identity.Role
	Folder       string
	CreatedAt    time.Time
}

// Token is an API token without its secret.
type Token struct {
	ID         string
	Name       string
	Role       identity.Role
	Folder     string
	CreatedAt  time.Time
	CreatedBy  string
	ExpiresAt  *time.Time // nil: never
	LastUsedAt *time.Time // at most a minute old while in use
}

// Hash is the SHA-256 of an API token: what is stored in its place.
type Hash [32]byte

// TokenFilter selects API tokens for a list page, newest first.
type TokenFilter struct {
	Folder string // this folder and below; "" is all
	Before string // exclusive cursor, an id; "" is from the newest
	Limit  int    // 1..500
}

// AccountStore keeps people. Errors are faults.
type AccountStore interface {
	// CreateFirst stores the first account and closes set-up for ever, in one transaction.
	// Conflict when set-up was closed before, also when many ask at the same time.
	CreateFirst(ctx context.Context, a Account) error
	// SetupDone reports whether CreateFirst ever succeeded.
	SetupDone(ctx context.Context) (bool, error)
	// Account returns the account of that normalized name, else NotFound.
	Account(ctx context.Context, name string) (Account, error)
}

// TokenStore keeps API tokens by their hash. Errors are faults.
type TokenStore interface {
	Create(ctx context.Context, t Token, hash Hash) error // Conflict when the name is taken
	ByHash(ctx context.Context, hash Hash) (Token, error) // NotFound
	Token(ctx context.Context, id string) (Token, error)  // NotFound
	List(ctx context.Context, f TokenFilter) ([]Token, error)
	Touch(ctx context.Context, id string, at time.Time) error // sets LastUsedAt; an unknown id is no error
	Delete(ctx context.Context, id string) error              // NotFound
}
