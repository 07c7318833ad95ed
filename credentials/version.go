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
