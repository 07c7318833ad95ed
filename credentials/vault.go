package credentials

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keyflow/credentials/internal/reach"
	"keyflow/credentials/joined"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
)

// CallbackPath is the path of the OAuth redirect URL below the public URL.
const CallbackPath = "/api/_/credentials/oauth_callback"

const startTimeout = 10 * time.Second

// Options says what a vault stands on.
type Options struct {
	Store  Store       // required
	Tokens TokenStore  // required
	Limits LimitStore  // required
	Canary CanaryStore // required
	Keyset *Keyset     // required
	// PublicURL is where people reach this Keyflow; OAuth redirect URLs are built from it.
	PublicURL string
	// Sources reads secrets kept elsewhere, where references lead; nil has none switched on.
	Sources *sources.Sources
	// Usages finds the workflows that name a credential; nil finds none.
	Usages func(ctx context.Context, id ID) ([]Usage, error)
	// Connected, when not nil, is told of a credential that a person had to connect and that can
	// be used now, or is gone. It must not block.
	Connected func(id ID)
	// Users says which workflows name some credentials, and which of others exist; nil: uses at
	// run time keep no credential, and UsedBy is 0.
	Users func(ctx context.Context, ids []ID, workflows []string) (Users, error)
	// Seen keeps uses at run time, Reminders publishes that credentials end; nil: nobody does.
	Seen      UsageStore
	Reminders ReminderStore
	// Transport sends tests, token requests and the requests of Resolver's clients.
	Transport http.RoundTripper
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
}

// Vault keeps credentials. It is safe for concurrent use.
type Vault struct {
	store     Store
	tokens    TokenStore
	limits    LimitStore
	canary    CanaryStore
	process   string // names this process in leases
	keys      *Keyset
	publicURL string
	sources   *sources.Sources
	usages    func(ctx context.Context, id ID) ([]Usage, error)
	connected func(id ID)
	users     func(ctx context.Context, ids []ID, workflows []string) (Users, error)
	seenStore UsageStore
	reminders ReminderStore
	planned   chan struct{} // holds a token when an edit may have planned a reminder
	transport http.RoundTripper
	now       func() time.Time
	log       *slog.Logger
	types     map[TypeName]*Type

	cache     cache
	stamps    joined.Reads[ID, Stamp]
	uses      uses
	seen      seenUses
	renewals  renewals
	kits      kits
	throttles throttles
	fallBacks fallBacks
	rotation  rotation

	presets    []Preset
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
		types: make(map[TypeName]*Type),
	}
	var err error
	if v.presets, err = Presets(); err != nil {
		return nil, err
	}
	if v.usages == nil {
		v.usages = func(context.Context, ID) ([]Usage, error) { return nil, nil }
	}
	if v.connected == nil {
		v.connected = func(ID) {}
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	for _, t := range builtinTypes() {
		v.types[t.Name] = &t
	}
	return v, nil
}

// Types lists the authentication types in the order of the form.
func (v *Vault) Types() []Type {
	types := builtinTypes()
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
func (v *Vault) RedirectURL() string { return v.publicURL + CallbackPath }

// current opens a credential for an operation of caller, who needs right in its folder; it is
// NotFound when missing or when the caller may not see it.
func (v *Vault) current(ctx context.Context, caller identity.Caller, right identity.Right, id ID) (*opened, error) {
	o, err := v.open(ctx, id)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeUnknown {
			return nil, notFound(id)
		}
		return nil, err
	}
	return o, authorize(caller, right, id, o.Folder)
}

// authorize requires a right in the folder of a credential that exists. Who may not see it is
// told that it does not exist.
func authorize(caller identity.Caller, right identity.Right, id ID, folder string) error {
	if !caller.May(identity.View, folder) {
		return notFound(id)
	}
	return caller.Require(right, folder)
}

// view completes a record for the outside: no null where a list or object is meant, defaults,
// redirect URL, last use.
func (v *Vault) view(c Credential) Credential {
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
	if !c.FallBack.armed(v.now()) {
		c.FallBack = nil
	}
	if c.FailureRules == nil {
		c.FailureRules = []FailureRule{}
	}
	if c.Type == TypeOAuth2 && c.Fields["grant_type"] == grantAuthorizationCode {
		c.RedirectURL = v.RedirectURL()
	}
	c.Expires = ExpiryOf(&c)
	c.State = shownState(c.State, c.Expires, v.now())
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
