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
	FingerprintKey []byte
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
	RotateEvery      string                    `json:"rotate_every,omitempty"`
	Warnings         []string                  `json:"warnings,omitempty"`
}

type versionRow struct {
	Credential string `gorm:"primaryKey"`
	Version    int    `gorm:"primaryKey;autoIncrement:false"`
	Fields     []byte
	Secrets    []byte
	Sealed     []byte
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	CreatedBy  string
}

func (versionRow) TableName() string { return "credential_versions" }

// joinedRow is a credential with its current version.
type joinedRow struct {
	C       credentialRow `gorm:"embedded"`
	Fields  []byte
	Secrets []byte
	Sealed  []byte
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
	d, err := jsonvalue.Encode(details{
		Description: r.Description, Labels: r.Labels, AllowedHosts: r.AllowedHosts, AllowedWorkflows: r.AllowedWorkflows,
		Limits: r.Limits, FailureRules: r.FailureRules, TestURL: r.TestURL, ExpiresAt: r.ExpiresAt, RotateEvery: r.RotateEvery, Warnings: r.Warnings,
	})
	if err != nil {
		return credentialRow{}, versionRow{}, fmt.Errorf("encode credential: %w", err)
	}
	version := versionRow{Credential: string(r.ID), Version: r.Version, CreatedAt: micros(r.UpdatedAt), CreatedBy: r.UpdatedBy}
	for _, part := range []struct {
		to    *[]byte
		value any
	}{{&version.Fields, r.Fields}, {&version.Secrets, r.Secrets}, {&version.Sealed, r.Sealed}} {
		if *part.to, err = jsonvalue.Encode(part.value); err != nil {
			return credentialRow{}, versionRow{}, fmt.Errorf("encode credential: %w", err)
		}
	}
	return credentialRow{
		ID: string(r.ID), Name: r.Name, Folder: r.Folder, Type: string(r.Type), Details: d, FingerprintKey: r.FingerprintKey,
		Version: r.Version, Revision: r.Revision, GrantRevision: r.Grant,
		State: string(r.State.Status), StateMessage: r.State.Message, StateSince: micros(r.State.Since), StateUntil: microsOf(r.State.Until),
		CreatedAt: micros(r.CreatedAt), CreatedBy: r.CreatedBy, UpdatedAt: micros(r.UpdatedAt), UpdatedBy: r.UpdatedBy,
	}, version, nil
}

func (j joinedRow) record() credentials.Record {
	row := j.C
	r := credentials.Record{FingerprintKey: row.FingerprintKey, Grant: row.GrantRevision}
	var d details
	errs := []error{decode("details", row.Details, &d)}
	r.Credential = credentials.Credential{
		ID: credentials.ID(row.ID), Name: row.Name, Folder: row.Folder, Type: credentials.TypeName(row.Type),
		Description: d.Description, Labels: d.Labels, AllowedHosts: d.AllowedHosts, AllowedWorkflows: d.AllowedWorkflows,
		Limits: d.Limits, FailureRules: d.FailureRules, TestURL: d.TestURL, ExpiresAt: d.ExpiresAt, RotateEvery: d.RotateEvery, Warnings: d.Warnings,
		State:   row.state(),
		Version: row.Version, Revision: row.Revision,
		CreatedAt: moment(row.CreatedAt), CreatedBy: row.CreatedBy, UpdatedAt: moment(row.UpdatedAt), UpdatedBy: row.UpdatedBy,
		LastUsedAt: momentOf(row.LastUsedAt),
	}
	errs = append(errs, decode("fields", j.Fields, &r.Fields), decode("secrets", j.Secrets, &r.Secrets), decode("sealed", j.Sealed, &r.Sealed))
	r.Damage = errors.Join(errs...)
	return r
}

func decode(column string, text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("decode %s: %w", column, err)
	}
	return nil
}

func (row credentialRow) state() credentials.State {
	s := credentials.State{Status: credentials.Status(row.State), Message: row.StateMessage, Since: moment(row.StateSince)}
	if until := momentOf(row.StateUntil); until != nil {
		s.Until = *until
	}
	return s
}

func (row versionRow) info(current int) (credentials.VersionInfo, error) {
	info := credentials.VersionInfo{
		Version: row.Version, CreatedAt: moment(row.CreatedAt), CreatedBy: row.CreatedBy,
		Current: row.Version == current, Fingerprints: map[string]string{},
	}
	var secrets map[string]credentials.SecretInfo
	if err := json.Unmarshal(row.Secrets, &secrets); err != nil {
		return info, fmt.Errorf("decode version: %w", err)
	}
	for field, s := range secrets {
		if s.Set {
			info.Fingerprints[field] = s.Fingerprint
		}
	}
	return info, nil
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
