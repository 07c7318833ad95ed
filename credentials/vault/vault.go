// Package vault is the front door of the credential store: the one place that decrypts secrets
// and the one place that attaches them to requests.
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
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/coalesce"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/presets"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
)

const startTimeout = 10 * time.Second

// Options says what a vault stands on.
type Options struct {
	Store  credentials.Store       // required
	Tokens credentials.TokenStore  // required
	Limits credentials.LimitStore  // required
	Canary credentials.CanaryStore // required
	Keyset *Keyset                 // required
	// PublicURL is where people reach this Keyflow; OAuth redirect URLs are built from it.
	PublicURL string
	// Sources reads secrets kept elsewhere, where references lead; nil has none switched on.
	Sources *sources.Sources
	// Usages finds the workflows that name a credential; nil finds none.
	Usages func(ctx context.Context, id credentials.ID) ([]credentials.Usage, error)
	// Connected, when not nil, is told of a credential that a person had to connect and that can
	// be used now, or is gone. It must not block.
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

// Vault keeps credentials. It is safe for concurrent use.
type Vault struct {
	store     credentials.Store
	tokens    credentials.TokenStore
	limits    credentials.LimitStore
	canary    credentials.CanaryStore
	process   string // names this process in leases
	keys      *Keyset
	publicURL string
	sources   *sources.Sources
	usages    func(ctx context.Context, id credentials.ID) ([]credentials.Usage, error)
	connected func(id credentials.ID)
	users     func(ctx context.Context, ids []credentials.ID, workflows []string) (credentials.Users, error)
	seenStore credentials.UsageStore
	reminders credentials.ReminderStore
	planned   chan struct{} // holds a token when an edit may have planned a reminder
	transport http.RoundTripper
	now       func() time.Time
	log       *slog.Logger
	types     map[credentials.TypeName]*authtype.Type

	cache     cache
	stamps    coalesce.Reads[credentials.ID, credentials.Stamp]
	uses      uses
	seen      seenUses
	renewals  renewals
	kits      kits
	throttles throttles
	fallBacks fallBacks
	rotation  rotation

	presets    []presets.Preset
	identities identities
	replays    replays
}

// New returns a vault that is ready for use. It proves that the master key fits the database
// and completes a first start (key file and canary); *KeyError when it does not fit.
func New(o Options) (*Vault, error) {
	if o.Store == nil || o.Tokens == nil || o.Limits == nil || o.Canary == nil || o.Keyset == nil {
		return nil, errors.New("new vault: Store, Tokens, Limits, Canary and Keyset are required")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := o.Keyset.Prove(ctx, o.Canary); err != nil {
		return nil, err
	}
	v := &Vault{
		store: o.Store, tokens: o.Tokens, limits: o.Limits, canary: o.Canary, keys: o.Keyset, process: rand.Text(),
		publicURL: strings.TrimSuffix(o.PublicURL, "/"),
		sources:   o.Sources,
		users:     o.Users, seenStore: o.Seen, reminders: o.Reminders, planned: make(chan struct{}, 1),
		usages: o.Usages, transport: o.Transport, now: o.Now, log: o.Logger, connected: o.Connected,
		types: make(map[credentials.TypeName]*authtype.Type),
	}
	var err error
	if v.presets, err = presets.All(); err != nil {
		return nil, err
	}
	if v.usages == nil {
		v.usages = func(context.Context, credentials.ID) ([]credentials.Usage, error) { return nil, nil }
	}
	if v.connected == nil {
		v.connected = func(credentials.ID) {}
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	for _, t := range authtype.All() {
		v.types[t.Name] = &t
	}
	return v, nil
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
func (v *Vault) RedirectURL() string { return v.publicURL + credentials.CallbackPath }

// current opens a credential for an operation of caller, who needs right in its folder; it is
// NotFound when missing or when the caller may not see it.
func (v *Vault) current(ctx context.Context, caller identity.Caller, right identity.Right, id credentials.ID) (*opened, error) {
	o, err := v.open(ctx, id)
	if err != nil {
		if e, ok := errors.AsType[*credentials.Error](err); ok && e.Code == credentials.CodeUnknown {
			return nil, credentials.NotFound(id)
		}
		return nil, err
	}
	return o, authorize(caller, right, id, o.Folder)
}

// authorize requires a right in the folder of a credential that exists. Who may not see it is
// told that it does not exist.
func authorize(caller identity.Caller, right identity.Right, id credentials.ID, folder string) error {
	if !caller.May(identity.View, folder) {
		return credentials.NotFound(id)
	}
	return caller.Require(right, folder)
}

// view completes a record for the outside: no null where a list or object is meant, defaults,
// redirect URL, last use.
func (v *Vault) view(c credentials.Credential) credentials.Credential {
	if c.AllowedWorkflows == nil {
		c.AllowedWorkflows = reach.OwnFolder(c.Folder)
	}
	c.Labels, c.Fields, c.Secrets = orEmpty(c.Labels), orEmpty(c.Fields), orEmpty(c.Secrets)
	for _, list := range []*[]string{&c.AllowedHosts, &c.RotatableBy} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Candidate != nil {
		candidate := *c.Candidate
		candidate.Fields, candidate.Secrets = orEmpty(candidate.Fields), orEmpty(candidate.Secrets)
		c.Candidate = &candidate
	}
	if !c.FallBack.Armed(v.now()) {
		c.FallBack = nil
	}
	if c.FailureRules == nil {
		c.FailureRules = []credentials.FailureRule{}
	}
	if c.Type == credentials.TypeOAuth2 && c.Fields["grant_type"] == authtype.AuthorizationCode {
		c.RedirectURL = v.RedirectURL()
	}
	c.Expires = credentials.ExpiryOf(&c)
	c.State = credentials.ShownState(c.State, c.Expires, v.now())
	if used, ok := v.uses.last(c.ID); ok && (c.LastUsedAt == nil || c.LastUsedAt.Before(used)) {
		c.LastUsedAt = &used
	}
	return c
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Presets lists the presets, ordered by id.
func (v *Vault) Presets() []presets.Preset { return slices.Clone(v.presets) }
