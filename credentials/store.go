package credentials

import (
	"context"
	"time"

	"keyflow/internal/fault"
)

// Record is a credential as a store keeps it: everything in clear but its secrets.
type Record struct {
	// Credential holds the plain fields as written and, in Secrets, what is
	// known of the others. RedirectURL is never stored. AllowedWorkflows nil means the credential's
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
	// Staged is the sealed part of Candidate; nil without a candidate.
	Staged *Staged
	// Binding proves what the record says, VersionBinding what CurrentVersion says; the vault
	// seals and checks them.
	Binding        []byte
	VersionBinding []byte
	// Damage says why the stored row cannot be read; the parts that are columns of their own
	// (id, name, folder, type, state, numbers and times) hold nevertheless. Mostly nil.
	Damage error
}

// Stamp tells whether a cached record is still current.
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

// Damaged is the error of a record that cannot be read; nil for any other.
func (r *Record) Damaged() error {
	if r.Damage == nil {
		return nil
	}
	return fault.New(fault.Conflict, "credential %q is %s", r.ID, MessageDamaged).Because(r.Damage)
}

// Filter selects credentials for a list page, which is ordered by id.
type Filter struct {
	Folder string // this folder and below; "" is all
	Type   TypeName
	Status Status
	Query  string // part of id or name
	// Attention selects those that need a person now or expire within 30 days, Unused those
	// that nobody has used for 90 days.
	Attention, Unused bool
	KeptAlive         bool      // those with keep_alive
	Now               time.Time // what the last two and the statuses expiring and expired go by
	IDs               []ID      // only these; nil is all
	After             ID        // exclusive cursor
	Limit             int       // 1..500
}

// Moment is a time as stores keep it.
func Moment(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }
