// Package sqlstore keeps workflows in the database of package internal/database, SQLite or
// Postgres. Rows are its own; definitions are stored as they were written and parsed by
// package workflows.
package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/internal/database"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// Store implements workflows.Store. It is safe for concurrent use.
type Store struct{ db *database.DB }

var _ workflows.Store = (*Store)(nil)

// New returns a store over db.
func New(db *database.DB) *Store { return &Store{db} }

type workflowRow struct {
	ID        string `gorm:"primaryKey"`
	Name      string
	Folder    string
	Version   int
	Digest    []byte
	Enabled   int
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
	UpdatedBy string
	DeletedAt *int64
	Revision  int64
}

func (workflowRow) TableName() string { return "workflows" }

func (r workflowRow) summary() workflows.Summary {
	return workflows.Summary{
		ID: workflows.ID(r.ID), Name: r.Name, Folder: r.Folder, Version: r.Version, Enabled: r.Enabled == 1,
		CreatedAt: time.UnixMicro(r.CreatedAt).UTC(), UpdatedAt: time.UnixMicro(r.UpdatedAt).UTC(), UpdatedBy: r.UpdatedBy, Revision: r.Revision,
	}
}

type versionRow struct {
	Workflow   string `gorm:"primaryKey"`
	Number     int    `gorm:"primaryKey"`
	Source     []byte
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	CreatedBy  string
	StartScope string
}

func (versionRow) TableName() string { return "workflow_versions" }

func (r versionRow) version() workflows.Version {
	return workflows.Version{
		Workflow: workflows.ID(r.Workflow), Number: r.Number,
		Definition: &workflows.Definition{ID: workflows.ID(r.Workflow), Source: r.Source, StartScope: r.StartScope},
		CreatedAt:  time.UnixMicro(r.CreatedAt).UTC(), CreatedBy: r.CreatedBy,
	}
}

type credentialRow struct {
	Credential string `gorm:"primaryKey"`
	Workflow   string `gorm:"primaryKey"`
	Place      int    `gorm:"primaryKey;autoIncrement:false"`
	Node       string
	TriggerID  string
}

func (credentialRow) TableName() string { return "workflow_credentials" }

func what(id workflows.ID) string { return fmt.Sprintf("workflow %q", id) }

// Put implements workflows.Store.
func (s *Store) Put(ctx context.Context, d *workflows.Definition, enabled *bool, by string, expect int, now time.Time) (sum workflows.Summary, changed bool, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		row, exists, err := s.lock(tx, d.ID)
		if err != nil {
			return err
		}
		if err := checkExpected(row, exists, expect, d.ID); err != nil {
			return err
		}
		before := row
		changed = !exists || !bytes.Equal(row.Digest, d.Digest[:])
		row.Enabled = switched(row.Enabled, exists, enabled)
		if changed {
			if err := addVersion(tx, &row, d, exists, by, now); err != nil {
				return err
			}
		}
		if changed || row.Enabled != before.Enabled {
			row.UpdatedAt, row.UpdatedBy = now.UnixMicro(), by
			if err := save(tx, &row); err != nil {
				return err
			}
		}
		sum = row.summary()
		return nil
	})
	return sum, changed, database.Translate(err, what(d.ID))
}

// save stores a changed row under the next revision. On Postgres the lock on the counter lasts
// until the commit, so that revisions become visible in their order.
func save(tx *gorm.DB, row *workflowRow) error {
	if err := tx.Raw("UPDATE workflow_revision SET value = value + 1 WHERE id = 1 RETURNING value").Scan(&row.Revision).Error; err != nil {
		return err
	}
	return tx.Save(row).Error
}

// lock reads the workflow's row, deleted or not, and keeps others from changing it.
func (s *Store) lock(tx *gorm.DB, id workflows.ID) (row workflowRow, exists bool, err error) {
	if s.db.Dialect() == database.Postgres {
		tx = tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
	}
	err = tx.Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return workflowRow{}, false, nil
	}
	return row, err == nil && row.DeletedAt == nil, err
}

func checkExpected(row workflowRow, exists bool, expect int, id workflows.ID) error {
	switch {
	case expect < 0:
		return nil
	case expect == 0 && exists:
		return fault.New(fault.Stale, "workflow %q exists already, at version %d", id, row.Version)
	case expect > 0 && !exists:
		return fault.New(fault.Stale, "workflow %q does not exist any more", id)
	case expect > 0 && row.Version != expect:
		return fault.New(fault.Stale, "workflow %q is at version %d, not %d: read it again", id, row.Version, expect)
	default:
		return nil
	}
}

// switched is the new position of the switch: stated, kept, or on for a new workflow.
func switched(current int, exists bool, stated *bool) int {
	on := !exists || current == 1
	if stated != nil {
		on = *stated
	}
	if on {
		return 1
	}
	return 0
}

func addVersion(tx *gorm.DB, row *workflowRow, d *workflows.Definition, exists bool, by string, now time.Time) error {
	if !exists {
		row.CreatedAt, row.DeletedAt = now.UnixMicro(), nil
	}
	row.ID, row.Name, row.Folder, row.Digest = string(d.ID), d.Name, d.Folder, d.Digest[:]
	row.Version++
	v := versionRow{Workflow: row.ID, Number: row.Version, Source: d.Source, CreatedAt: now.UnixMicro(), CreatedBy: by, StartScope: d.StartScope}
	if err := tx.Create(&v).Error; err != nil {
		return err
	}
	return replaceUsages(tx, d)
}

func replaceUsages(tx *gorm.DB, d *workflows.Definition) error {
	if err := tx.Where("workflow = ?", string(d.ID)).Delete(&credentialRow{}).Error; err != nil {
		return err
	}
	var rows []credentialRow
	for credential, places := range d.Usages() {
		for i, u := range places {
			rows = append(rows, credentialRow{credential, string(d.ID), i, string(u.Node), u.Trigger})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.CreateInBatches(rows, 100).Error
}

// Get implements workflows.Store.
func (s *Store) Get(ctx context.Context, id workflows.ID) (workflows.Summary, error) {
	var row workflowRow
	err := s.db.Read().WithContext(ctx).Where("id = ? AND deleted_at IS NULL", string(id)).Take(&row).Error
	return row.summary(), database.Translate(err, what(id))
}

// Version implements workflows.Store.
func (s *Store) Version(ctx context.Context, id workflows.ID, number int) (workflows.Version, error) {
	if number == 0 {
		current, err := s.Get(ctx, id)
		if err != nil {
			return workflows.Version{}, err
		}
		number = current.Version
	}
	var row versionRow
	err := s.db.Read().WithContext(ctx).Where("workflow = ? AND number = ?", string(id), number).Take(&row).Error
	if err != nil {
		return workflows.Version{}, database.Translate(err, fmt.Sprintf("version %d of %s", number, what(id)))
	}
	return row.version(), nil
}

// Versions implements workflows.Store.
func (s *Store) Versions(ctx context.Context, id workflows.ID) ([]workflows.Version, error) {
	var rows []versionRow
	err := s.db.Read().WithContext(ctx).Where("workflow = ?", string(id)).Order("number DESC").Find(&rows).Error
	if err == nil && len(rows) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return nil, database.Translate(err, what(id))
	}
	out := make([]workflows.Version, len(rows))
	for i, r := range rows {
		out[i] = r.version()
	}
	return out, nil
}

// List implements workflows.Store.
func (s *Store) List(ctx context.Context, f workflows.Filter) ([]workflows.Summary, error) {
	q := s.db.Read().WithContext(ctx).Where("deleted_at IS NULL AND id > ?", string(f.After))
	if f.Folder != "" && f.Folder != "/" {
		below := f.Folder + "/"
		q = q.Where("(folder = ? OR substr(folder, 1, ?) = ?)", f.Folder, len(below), below)
	}
	if f.Query != "" {
		part := "%" + strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(strings.ToLower(f.Query)) + "%"
		q = q.Where("(id LIKE ? ESCAPE '!' OR LOWER(name) LIKE ? ESCAPE '!')", part, part)
	}
	var rows []workflowRow
	if err := q.Order("id").Limit(f.Limit).Find(&rows).Error; err != nil {
		return nil, database.Translate(err, "the list of workflows")
	}
	out := make([]workflows.Summary, len(rows))
	for i, r := range rows {
		out[i] = r.summary()
	}
	return out, nil
}

// Changes implements workflows.Store.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]workflows.Change, error) {
	var rows []struct {
		Row    workflowRow `gorm:"embedded"`
		Source []byte
	}
	err := s.db.Read().WithContext(ctx).Raw(`SELECT w.id, w.name, w.folder, w.version, w.digest, w.enabled,
			w.created_at, w.updated_at, w.updated_by, w.deleted_at, w.revision, v.source
		FROM workflows w JOIN workflow_versions v ON v.workflow = w.id AND v.number = w.version
		WHERE w.revision > ? ORDER BY w.revision LIMIT ?`, after, limit).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "the changes of workflows")
	}
	out := make([]workflows.Change, len(rows))
	for i, r := range rows {
		out[i] = workflows.Change{Summary: r.Row.summary(), Deleted: r.Row.DeletedAt != nil, Source: r.Source}
	}
	return out, nil
}

// SetEnabled implements workflows.Store.
func (s *Store) SetEnabled(ctx context.Context, id workflows.ID, enabled bool, by string, now time.Time) (sum workflows.Summary, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		row, exists, err := s.lock(tx, id)
		if err != nil {
			return err
		}
		if !exists {
			return gorm.ErrRecordNotFound
		}
		if position := switched(row.Enabled, true, &enabled); position != row.Enabled {
			row.Enabled, row.UpdatedAt, row.UpdatedBy = position, now.UnixMicro(), by
			if err := save(tx, &row); err != nil {
				return err
			}
		}
		sum = row.summary()
		return nil
	})
	return sum, database.Translate(err, what(id))
}

// Delete implements workflows.Store.
func (s *Store) Delete(ctx context.Context, id workflows.ID) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		row, exists, err := s.lock(tx, id)
		if err != nil {
			return err
		}
		if !exists {
			return gorm.ErrRecordNotFound
		}
		row.DeletedAt = new(time.Now().UnixMicro())
		if err := save(tx, &row); err != nil {
			return err
		}
		return tx.Where("workflow = ?", string(id)).Delete(&credentialRow{}).Error
	})
	return database.Translate(err, what(id))
}

// Usages implements workflows.Store.
func (s *Store) Usages(ctx context.Context, credential string) ([]workflows.Usage, error) {
	var rows []credentialRow
	err := s.db.Read().WithContext(ctx).Where("credential = ?", credential).Order("workflow, place").Find(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "the usages of the credential")
	}
	out := make([]workflows.Usage, len(rows))
	for i, r := range rows {
		out[i] = workflows.Usage{Workflow: workflows.ID(r.Workflow), Node: workflows.NodeID(r.Node), Trigger: r.TriggerID}
	}
	return out, nil
}

// Users implements workflows.Store.
func (s *Store) Users(ctx context.Context, credentials []string, ids []workflows.ID) (naming map[string][]workflows.ID, existing []workflows.ID, err error) {
	var rows []struct{ Credential, Workflow string }
	// No credential has the id "".
	err = s.db.Read().WithContext(ctx).Raw(`SELECT credential, workflow FROM workflow_credentials WHERE credential IN ?
		UNION SELECT '' AS credential, id AS workflow FROM workflows WHERE id IN ? AND deleted_at IS NULL ORDER BY credential, workflow`,
		credentials, ids).Scan(&rows).Error
	if err != nil {
		return nil, nil, database.Translate(err, "the workflows that use credentials")
	}
	naming = make(map[string][]workflows.ID)
	for _, r := range rows {
		if r.Credential == "" {
			existing = append(existing, workflows.ID(r.Workflow))
		} else {
			naming[r.Credential] = append(naming[r.Credential], workflows.ID(r.Workflow))
		}
	}
	return naming, existing, nil
}
