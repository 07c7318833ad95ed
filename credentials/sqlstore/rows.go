package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/internal/jsonvalue"
)

type credentialRow struct {
	ID             string `gorm:"primaryKey"`
	Name           string
	Folder         string
	Type           string
	Details        []byte
	Candidate      []byte
	FingerprintKey []byte
	Binding        []byte
	Version        int
	Revision       int64
	GrantRevision  int64
	State          string
	StateMessage   string
	StateSince     int64
	StateUntil     *int64
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	CreatedBy      string
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
	UpdatedBy      string
	LastUsedAt     *int64
	ExpiresAt      *int64 // the sooner of expires_at and rotate_every
	RemindAt       *int64
	KeptAlive      int // 1: the fields have keep_alive
}

func (credentialRow) TableName() string { return "credentials" }

// details is the part of a credential that is never searched.
type details struct {
	Description      string                    `json:"description,omitempty"`
	Labels           map[string]string         `json:"labels,omitempty"`
	AllowedHosts     []string                  `json:"allowed_hosts"`
	AllowedWorkflows []string                  `json:"allowed_workflows"` // null: own folder and below
	Limits           *credentials.Limits       `json:"limits,omitempty"`
	FailureRules     []credentials.FailureRule `json:"failure_rules,omitempty"`
	TestURL          string                    `json:"test_url,omitempty"`
	ExpiresAt        *time.Time                `json:"expires_at,omitempty"`
	RotatableBy      []string                  `json:"rotatable_by,omitempty"`
	RotateEvery      string                    `json:"rotate_every,omitempty"`
	Grace            string                    `json:"grace,omitempty"`
	FallBack         *credentials.FallBack     `json:"fall_back,omitempty"`
	Candidate        *candidate                `json:"candidate,omitempty"`
	Warnings         []string                  `json:"warnings,omitempty"`
}

// candidate is a candidate without its ciphertext.
type candidate struct {
	credentials.Candidate
	Revision int64             `json:"revision"`
	Reach    credentials.Reach `json:"reach"`
}

type versionRow struct {
	Credential string `gorm:"primaryKey"`
	Version    int    `gorm:"primaryKey;autoIncrement:false"`
	Fields     []byte
	Secrets    []byte
	Sealed     []byte
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	CreatedBy  string
	Origin     string
	Reach      []byte
	Binding    []byte
}

func (versionRow) TableName() string { return "credential_versions" }

// joinedRow is a credential with its current version.
type joinedRow struct {
	C credentialRow `gorm:"embedded"`
	V versionRow    `gorm:"embedded;embeddedPrefix:v_"`
}

type tokenRow struct {
	Credential     string `gorm:"primaryKey"`
	Generation     int64
	GrantRevision  int64
	Sealed         []byte
	RenewalStarted *int64
}

func (tokenRow) TableName() string { return "credential_tokens" }

type connectRow struct {
	Hash          []byte `gorm:"primaryKey"`
	Credential    string
	Session       string
	GrantRevision int64
	Sealed        []byte
	ExpiresAt     int64
}

func (connectRow) TableName() string { return "credential_connects" }

func toRows(r *credentials.Record) (credentialRow, versionRow, error) {
	version, err := toVersionRow(r.ID, r.CurrentVersion())
	if err != nil {
		return credentialRow{}, versionRow{}, err
	}
	row := credentialRow{
		ID: string(r.ID), Name: r.Name, Folder: r.Folder, Type: string(r.Type), FingerprintKey: r.FingerprintKey,
		Version: r.Version, Revision: r.Revision, GrantRevision: r.Grant, Binding: r.Binding,
		State: string(r.State.Status), StateMessage: r.State.Message, StateSince: micros(r.State.Since), StateUntil: microsOf(r.State.Until),
		CreatedAt: micros(r.CreatedAt), CreatedBy: r.CreatedBy, UpdatedAt: micros(r.UpdatedAt), UpdatedBy: r.UpdatedBy,
	}
	d := details{
		Description: r.Description, Labels: r.Labels, AllowedHosts: r.AllowedHosts, AllowedWorkflows: r.AllowedWorkflows, RotatableBy: r.RotatableBy,
		Limits: r.Limits, FailureRules: r.FailureRules, TestURL: r.TestURL, ExpiresAt: r.ExpiresAt, RotateEvery: r.RotateEvery,
		Grace: r.Grace, FallBack: r.FallBack, Warnings: r.Warnings,
	}
	if every, _ := r.Fields["keep_alive"].(string); every != "" {
		row.KeptAlive = 1
	}
	parts := []part{{&row.Details, &d}}
	if r.Candidate != nil {
		d.Candidate = &candidate{*r.Candidate, r.Staged.Revision, r.Staged.Reach}
		parts = append(parts, part{&row.Candidate, r.Staged.Sealed})
	}
	return row, version, encode(parts)
}

func toVersionRow(id credentials.ID, v credentials.Version) (versionRow, error) {
	row := versionRow{
		Credential: string(id), Version: v.Number, CreatedAt: micros(v.Made.At), CreatedBy: v.Made.By, Origin: string(v.Made.Origin), Binding: v.Binding,
	}
	return row, encode([]part{{&row.Fields, v.Fields}, {&row.Secrets, v.Secrets}, {&row.Sealed, v.Sealed}, {&row.Reach, v.Reach}})
}

// part is a column of JSON.
type part struct {
	column *[]byte
	value  any
}

func encode(parts []part) (err error) {
	for _, p := range parts {
		if *p.column, err = jsonvalue.Encode(p.value); err != nil {
			return fmt.Errorf("encode credential: %w", err)
		}
	}
	return nil
}

// decode reads columns into pointers; NULL leaves a value as it is.
func decode(parts []part) error {
	var errs []error
	for _, p := range parts {
		if len(*p.column) == 0 {
			continue
		}
		if err := json.Unmarshal(*p.column, p.value); err != nil {
			errs = append(errs, fmt.Errorf("decode credential: %w", err))
		}
	}
	return errors.Join(errs...)
}

var errNoVersion = errors.New("the row of the current version is missing")

func (j joinedRow) record() credentials.Record {
	row := j.C
	r := credentials.Record{FingerprintKey: row.FingerprintKey, Grant: row.GrantRevision, Binding: row.Binding}
	var d details
	var staged credentials.Staged
	version, err := j.V.version()
	if version.Number == 0 {
		err = errNoVersion
	}
	r.Damage = errors.Join(err, decode([]part{{&row.Details, &d}, {&row.Candidate, &staged.Sealed}}))
	r.Credential = credentials.Credential{
		ID: credentials.ID(row.ID), Name: row.Name, Folder: row.Folder, Type: credentials.TypeName(row.Type),
		Description: d.Description, Labels: d.Labels, AllowedHosts: d.AllowedHosts, AllowedWorkflows: d.AllowedWorkflows, RotatableBy: d.RotatableBy,
		Limits: d.Limits, FailureRules: d.FailureRules, TestURL: d.TestURL, ExpiresAt: d.ExpiresAt, RotateEvery: d.RotateEvery,
		Grace: d.Grace, FallBack: d.FallBack, Warnings: d.Warnings,
		State:   row.state(),
		Version: row.Version, Revision: row.Revision,
		CreatedAt: moment(row.CreatedAt), CreatedBy: row.CreatedBy, UpdatedAt: moment(row.UpdatedAt), UpdatedBy: row.UpdatedBy,
		LastUsedAt: momentOf(row.LastUsedAt),
	}
	if c := d.Candidate; c != nil {
		staged.Revision, staged.Reach = c.Revision, c.Reach
		r.Candidate, r.Staged = &c.Candidate, &staged
	}
	r.Fields, r.Secrets, r.Sealed, r.Made, r.VersionBinding = version.Fields, version.Secrets, version.Sealed, version.Made, version.Binding
	return r
}

func (row versionRow) version() (credentials.Version, error) {
	v := credentials.Version{
		Number: row.Version, Binding: row.Binding,
		Made: credentials.Made{At: moment(row.CreatedAt), By: row.CreatedBy, Origin: credentials.Origin(row.Origin)},
	}
	return v, decode([]part{{&row.Fields, &v.Fields}, {&row.Secrets, &v.Secrets}, {&row.Sealed, &v.Sealed}, {&row.Reach, &v.Reach}})
}

func (row credentialRow) state() credentials.State {
	s := credentials.State{Status: credentials.Status(row.State), Message: row.StateMessage, Since: moment(row.StateSince)}
	if until := momentOf(row.StateUntil); until != nil {
		s.Until = *until
	}
	return s
}

func (row versionRow) info(current int) (credentials.VersionInfo, error) {
	v, err := row.version()
	info := credentials.VersionInfo{
		Version: v.Number, CreatedAt: v.Made.At, CreatedBy: v.Made.By, Origin: v.Made.Origin,
		Fields: v.Fields, Fingerprints: map[string]string{}, Current: v.Number == current,
	}
	for field, s := range v.Secrets {
		if s.Set {
			info.Fingerprints[field] = s.Fingerprint
		}
	}
	return info, err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// microsOf keeps the zero time as NULL.
func microsOf(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}

func moment(n int64) time.Time { return time.UnixMicro(n).UTC() }

func momentOf(n *int64) *time.Time {
	if n == nil {
		return nil
	}
	t := moment(*n)
	return &t
}
