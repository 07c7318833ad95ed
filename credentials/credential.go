// Package credentials is the contract of the credential store: what a credential is, how it is
// written, what a use of it looks like, the errors of a use, and what a store of credentials
// keeps.
//
//	vault     the front door: create, read, change, test and use credentials
//	sqlstore  keeps them in a database
//
// No secret in clear is in any of its types but [Input]. The package must not know how secrets
// are sealed, how requests are authenticated, or anything of workflows, nodes and runs: a [Use]
// names those as text. It imports no package below it.
package credentials

import "time"

// ID names a credential: [a-z0-9][a-z0-9_-]{0,62}. It never changes.
type ID string

// TypeName names an authentication type, for example "basic_auth".
type TypeName string

// Credential is what anyone with the right to view may see: no secret is in it.
type Credential struct {
	ID          ID                    `json:"id"`
	Name        string                `json:"name"`
	Description string                `json:"description"`
	Labels      map[string]string     `json:"labels"`
	Folder      string                `json:"folder"`
	Type        TypeName              `json:"type"`
	Fields      map[string]any        `json:"fields"`  // non-secret fields as they are
	Secrets     map[string]SecretInfo `json:"secrets"` // one entry per secret field of the type

	AllowedHosts     []string      `json:"allowed_hosts"`
	AllowedWorkflows []string      `json:"allowed_workflows"`
	RotatableBy      []string      `json:"rotatable_by"`
	Limits           *Limits       `json:"limits"`
	FailureRules     []FailureRule `json:"failure_rules"`
	TestURL          string        `json:"test_url"`
	ExpiresAt        *time.Time    `json:"expires_at"`
	RotateEvery      string        `json:"rotate_every"`
	Grace            string        `json:"grace"`

	Candidate *Candidate `json:"candidate"` // fields that wait to be promoted
	FallBack  *FallBack  `json:"fall_back"` // the version that comes back by itself

	State      State      `json:"state"`
	Version    int        `json:"version"` // counts changes of fields
	Revision   int64      `json:"-"`       // counts every edit; the ETag
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by"`
	UpdatedAt  time.Time  `json:"updated_at"`
	UpdatedBy  string     `json:"updated_by"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Expires    *Expires   `json:"expires"` // the sooner of expires_at and rotate_every
	// UsedBy counts the workflows that name it or used it when they ran.
	UsedBy int `json:"used_by"`
	// RedirectURL is set for oauth2 with grant authorization_code only.
	RedirectURL string `json:"redirect_url,omitempty"`
	// Warnings are advice about this record (any host allowed, very short secret).
	Warnings []string `json:"warnings,omitempty"`
}

// SecretInfo is all that leaves the vault about a secret field.
type SecretInfo struct {
	Set         bool       `json:"set"`
	UpdatedAt   *time.Time `json:"updated_at"`
	Fingerprint string     `json:"fingerprint"` // first 12 hex digits of a keyed hash; "" when not set, and of references
	// Ref is where the secret is kept, "env:NAME", "file:/path" or "vault:path#key", when the
	// field is a reference.
	Ref string `json:"ref,omitempty"`
}

// Limits bound the use of a credential by all workflows together.
type Limits struct {
	Requests    int    `json:"requests,omitempty"`    // in any span of Per; 0 is any number
	Per         string `json:"per,omitempty"`         // duration
	Concurrency int    `json:"concurrency,omitempty"` // requests at once; 0 is any number
}

// FailureRule says which answers mean that this credential was refused, and what to do.
// All given conditions must hold. The default rule, when none is given for 401, is renew
// for token types and refuse for the others.
type FailureRule struct {
	Status  []int             `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"` // expression over `response` {status, headers, body}
	Action  string            `json:"action"`         // renew, refuse, wait, quota
	// Until is how long wait and quota last: a duration or a time of day with its zone, "00:00
	// America/Chicago".
	Until       string `json:"until,omitempty"`
	NotExecuted bool   `json:"not_executed,omitempty"` // the upstream did not act: repeating is safe
}

// The authentication types. Package authtype declares what each is.
const (
	TypeNoAuth            TypeName = "no_auth"
	TypeBasicAuth         TypeName = "basic_auth"
	TypeAPIKey            TypeName = "api_key"
	TypeOAuth2            TypeName = "oauth2"
	TypeBearerToken       TypeName = "bearer_token"
	TypeCustom            TypeName = "custom"
	TypeSigning           TypeName = "signing"
	TypeJWT               TypeName = "jwt"
	TypeClientCertificate TypeName = "client_certificate"
)

// The actions of failure rules.
const (
	RuleRenew  = "renew"
	RuleRefuse = "refuse"
	RuleWait   = "wait"
	RuleQuota  = "quota"
)
