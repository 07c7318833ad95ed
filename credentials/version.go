package credentials

import "time"

// Origin says what made a version.
type Origin string

// The origins.
const (
	OriginEdit      Origin = "edit"
	OriginPromotion Origin = "promotion"
	OriginRollback  Origin = "rollback"
	OriginFallBack  Origin = "fall_back"
	OriginImport    Origin = "import"
	OriginRotation  Origin = "rotation" // by a workflow
)

// Made says how a version came about.
type Made struct {
	At     time.Time
	By     string
	Origin Origin
}

// Reach is where the secrets of a version were meant to go, beyond what its own fields say.
type Reach struct {
	AllowedHosts []string `json:"allowed_hosts"`
	TestURL      string   `json:"test_url"`
}

// Version is one version of a credential's fields as a store keeps it. Reach is what was in
// force when the version was last the current one.
type Version struct {
	Number  int
	Fields  map[string]any
	Secrets map[string]SecretInfo
	Sealed  map[string][]byte
	Made    Made
	Reach   Reach
	Binding []byte // see Record.VersionBinding
}

// CurrentVersion is the row of Versions that belongs to r.
func (r *Record) CurrentVersion() Version {
	return Version{
		Number: r.Version, Fields: r.Fields, Secrets: r.Secrets, Sealed: r.Sealed, Made: r.Made,
		Reach: r.InForce(), Binding: r.VersionBinding,
	}
}

// InForce is where the secrets of r may go now.
func (r *Record) InForce() Reach { return Reach{r.AllowedHosts, r.TestURL} }

// GraceEnd is until when the former version comes back without being named; nil is no limit.
func (r *Record) GraceEnd() *time.Time {
	grace, err := ParseDuration(r.Grace)
	if r.Grace == "" || err != nil { // it was checked when it was saved
		return nil
	}
	end := r.Made.At.Add(grace)
	return &end
}

// VersionInfo is what people may see of one version of a credential's fields.
type VersionInfo struct {
	Version      int               `json:"version"`
	CreatedAt    time.Time         `json:"created_at"`
	CreatedBy    string            `json:"created_by"`
	Fields       map[string]any    `json:"fields"`       // those that are not secret
	Fingerprints map[string]string `json:"fingerprints"` // of the set secret fields
	Current      bool              `json:"current"`
	Origin       Origin            `json:"origin"`
}

// Candidate is a set of fields that waits to be tested and promoted. No run uses it. It belongs
// to the version beside which it was staged: a change of the fields drops it.
type Candidate struct {
	Fields    map[string]any        `json:"fields"`  // those that are not secret
	Secrets   map[string]SecretInfo `json:"secrets"` // one entry per secret field of the type
	CreatedAt time.Time             `json:"created_at"`
	CreatedBy string                `json:"created_by"`
	Test      *CandidateTest        `json:"test"` // null: not tested yet
}

// CandidateTest is the result of a candidate's last test.
type CandidateTest struct {
	OK         bool      `json:"ok"`
	Message    string    `json:"message"`
	Suggestion string    `json:"suggestion"`
	At         time.Time `json:"at"`
}

// Staged is the part of a candidate that nobody sees.
type Staged struct {
	Revision int64 // of the edit that staged it; identifies it
	Sealed   map[string][]byte
	Reach    Reach // see Version
}

// FallBack names the version whose fields come back by themselves when the current one is
// refused, and until when; nil is without limit.
type FallBack struct {
	Version int        `json:"version"`
	Until   *time.Time `json:"until"`
}

// Armed reports whether the former version comes back by itself at now.
func (f *FallBack) Armed(now time.Time) bool {
	return f != nil && (f.Until == nil || now.Before(*f.Until))
}

// Promotion says how to promote a candidate.
type Promotion struct {
	// FallBack lets the former fields come back by themselves when the new ones are refused.
	FallBack bool `json:"fall_back,omitempty" doc:"The former fields come back by themselves when the new ones are refused."`
	// Force promotes without a test.
	Force bool `json:"force,omitempty" doc:"Without a test."`
}
