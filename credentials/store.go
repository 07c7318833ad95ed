package credentials

import (
	"context"
	"time"

	"keyflow/credentials/internal/sealing"
)

// Record is a credential as a store keeps it: everything in clear but its secrets.
type Record struct {
	// Credential holds the plain fields as written and, in Secrets, what may be told of
	// the others. RedirectURL is never stored. AllowedWorkflows nil means the credential's
	// own folder and below; empty means no workflow.
	Credential
	// Sealed holds the ciphertext of each set secret field of the current version.
	Sealed map[string][]byte
	// FingerprintKey is the sealed key of this credential's fingerprints.
	FingerprintKey []byte
	// Grant is the revision of the last edit after which tokens obtained earlier must not
	// be used: another client, secret, token URL or scope, or hosts the token was not meant for.
	Grant int64
	// Made says how the current version came about.
	Made Made
	// Staged is what Candidate does not tell; nil without a candidate.
	Staged *Staged
	// Binding proves what the record says, VersionBinding what CurrentVersion says; the vault
	// seals and checks them.
	Binding        []byte
	VersionBinding []byte
	// Damage says why the stored row cannot be read; the parts that are columns of their own
	// (id, name, folder, type, state, numbers and times) hold nevertheless. Mostly nil.
	Damage error
}

// VersionInfo is what may be told of one version of a credential's fields.
type VersionInfo struct {
	Version      int               `json:"version"`
	CreatedAt    time.Time         `json:"created_at"`
	CreatedBy    string            `json:"created_by"`
	Fields       map[string]any    `json:"fields"`       // those that are not secret
	Fingerprints map[string]string `json:"fingerprints"` // of the set secret fields
	Current      bool              `json:"current"`
	Origin       Origin            `json:"origin"`
}

// Stamp is what tells a cached record from a changed one.
type Stamp struct {
	Revision int64
	State    State
}

// Store keeps credentials and the versions of their fields. A missing credential is a
// NotFound fault, a broken store an Unavailable or Internal one. It is safe for concurrent use.
type Store interface {
	RecordStore
	// Stamp reads the current revision and state from the database, never from a cache.
	Stamp(ctx context.Context, id ID) (Stamp, error)
	// SetState writes the state if the record is still at revision and reports whether it was.
	// With another status than before, the events of the state (StateEvents) are stored too.
	SetState(ctx context.Context, id ID, revision int64, s State) (bool, error)
	// Touch writes when credentials were last used; unknown ids and earlier times are ignored.
	Touch(ctx context.Context, used map[ID]time.Time) error
	// Shared reports whether other processes may change the store while this one runs.
	Shared() bool
}

// RecordStore is the part of [Store] that reads and edits records.
type RecordStore interface {
	// Change creates (old is nil), replaces or deletes (change returns nil) one credential in
	// one transaction and returns what is now stored. revision is the number that this edit
	// carries: larger than that of every earlier edit of any credential, deletions included.
	// change may run more than once; its error ends the transaction and is returned as it is. A
	// damaged record is passed to it like any other.
	// CurrentVersion of what is stored becomes or replaces a row of Versions; deleting removes
	// those, the token and connects under way. LastUsedAt is not written. The events of the edit
	// (ChangeEvents) are stored in the same transaction; change may set old's UpdatedBy and
	// UpdatedAt to say who deletes it, and when.
	Change(ctx context.Context, id ID, change func(old *Record, revision int64) (*Record, error)) (*Record, error)
	// ChangeAll is Change for many credentials in one transaction: all are stored or none.
	// change gets those of ids that exist and returns the records to store: with revision first
	// for ids[0], first+1 for ids[1] and so on. What it does not return stays as it is.
	ChangeAll(ctx context.Context, ids []ID, change func(old map[ID]*Record, first int64) ([]*Record, error)) error
	// Get returns one record; a damaged one is a Conflict.
	Get(ctx context.Context, id ID) (Record, error)
	// List returns the records that match, damaged ones too, ordered by id, at most f.Limit.
	List(ctx context.Context, f Filter) ([]Record, error)
	// Versions lists newest first.
	Versions(ctx context.Context, id ID) ([]VersionInfo, error)
	// Version returns one version; NotFound when there is none of this number.
	Version(ctx context.Context, id ID, number int) (Version, error)
}

// Token is the token state of one credential. Its content is sealed by the vault.
type Token struct {
	Credential ID
	// Generation counts the answers stored, 0 before the first; it never falls, also when
	// the token is given up (Sealed nil).
	Generation int64
	// Grant is the Record.Grant of the configuration that got the token; another one makes it unusable.
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

// Rate is at most Requests in any span of Per.
type Rate struct {
	Requests int
	Per      time.Duration
}

// Claim is what one process wants of the requests at once that a credential allows.
type Claim struct {
	Holder string // the process
	Busy   int    // requests under way
	Want   int    // those and the ones that wait
	Limit  int
}

// LimitStore keeps what all processes together may do with a credential. now is the caller's
// clock; a store that processes share goes by its own. A missing credential is NotFound. It is
// safe for concurrent use.
type LimitStore interface {
	// TakeRequests grants up to want requests, to be sent within PermitLife(r). With fewer, wait
	// is how long it takes until there may be more.
	TakeRequests(ctx context.Context, id ID, want int, r Rate, now time.Time) (granted int, wait time.Duration, err error)
	// HoldSlots settles how many requests the holder may have under way for a while; a claim of
	// nothing ends that. When others wait, nobody gets more than an equal part, and with fewer
	// slots than processes each has its turn.
	HoldSlots(ctx context.Context, id ID, c Claim, now time.Time) (slots int, err error)
}

// PermitLife is how soon a granted request must be sent. It counts as if it were sent last.
func PermitLife(r Rate) time.Duration { return min(time.Second, r.Per/10) }

// CanaryStore keeps one sealed text that proves, at start, that the key fits the data. It also
// gives the walk over everything sealed that a change of the key needs.
type CanaryStore interface {
	SealedStore
	sealing.Canary
}
