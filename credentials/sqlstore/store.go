// Package sqlstore keeps credentials, their versions and tokens in the database of package
// internal/database, SQLite or Postgres. What is secret arrives sealed: the package cannot
// read it and must not try. Rows are its own.
package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/credentials"
	"keyflow/internal/database"
	"keyflow/internal/fault"
	outbox "keyflow/internal/outbox/sqlstore"
)

// Store implements the store contracts of package credentials. It is safe for concurrent use.
type Store struct {
	db     *database.DB
	notify func()
}

var (
	_ credentials.Store         = (*Store)(nil)
	_ credentials.TokenStore    = (*Store)(nil)
	_ credentials.LimitStore    = (*Store)(nil)
	_ credentials.CanaryStore   = (*Store)(nil)
	_ credentials.UsageStore    = (*Store)(nil)
	_ credentials.ReminderStore = (*Store)(nil)
)

// New returns a store over db.
func New(db *database.DB) *Store { return &Store{db, func() {}} }

// OnEvents has notify called after each transaction that may have put events into the outbox.
// It must be called before the store is shared.
func (s *Store) OnEvents(notify func()) { s.notify = notify }

// tx runs fn in one transaction whose events are made known when it is stored.
func (s *Store) tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	err := s.db.Tx(ctx, fn)
	if err == nil {
		s.notify()
	}
	return err
}

func what(id credentials.ID) string { return fmt.Sprintf("credential %q", id) }

// Shared implements credentials.Store: one process at a time opens an SQLite folder.
func (s *Store) Shared() bool { return s.db.Dialect() != database.SQLite }

// Change implements credentials.Store. Taking the next revision comes first: on Postgres its
// row lock makes edits of credentials follow one another.
func (s *Store) Change(ctx context.Context, id credentials.ID, change func(old *credentials.Record, revision int64) (*credentials.Record, error)) (*credentials.Record, error) {
	var stored *credentials.Record
	err := s.tx(ctx, func(tx *gorm.DB) error {
		revision, err := takeRevisions(tx, 1)
		if err != nil {
			return err
		}
		old, err := get(locked(tx), id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		var given *credentials.Record
		if old != nil {
			given = new(*old)
		}
		if stored, err = change(given, revision); err != nil {
			return err
		}
		if stored == nil {
			return remove(tx, given)
		}
		return put(tx, old, stored)
	})
	if err != nil {
		return nil, database.Translate(err, what(id))
	}
	return stored, nil
}

// takeRevisions returns the first of n revisions that no other edit gets.
func takeRevisions(tx *gorm.DB, n int) (first int64, err error) {
	var last int64
	err = tx.Raw("UPDATE credential_revision SET value = value + ? WHERE id = 1 RETURNING value", n).Scan(&last).Error
	return last - int64(n) + 1, err
}

// remove deletes a credential; old says who does it.
func remove(tx *gorm.DB, old *credentials.Record) error {
	if old == nil {
		return nil
	}
	if err := tx.Delete(&credentialRow{ID: string(old.ID)}).Error; err != nil {
		return err
	}
	return outbox.Append(tx, credentials.ChangeEvents(old, nil)...)
}

func put(tx *gorm.DB, old, r *credentials.Record) error {
	row, version, err := toRows(r)
	if err != nil {
		return err
	}
	planned := row.plan(old, r)
	if old == nil {
		err = tx.Create(&row).Error
	} else {
		err = update(tx, &row, planned)
	}
	if err == nil {
		err = outbox.Append(tx, credentials.ChangeEvents(old, r)...)
	}
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&version).Error
}

// update writes all of a row but what is not part of an edit; planned says that the reminder is.
func update(tx *gorm.DB, row *credentialRow, planned bool) error {
	kept := []string{"LastUsedAt"}
	if !planned {
		kept = append(kept, "RemindAt")
	}
	return tx.Omit(kept...).Select("*").Updates(row).Error
}

// joinedColumns are the columns of a joinedRow. They are named, because on Postgres a statement
// with * fails in running processes once the next release has added a column.
const joinedColumns = "c.id, c.name, c.folder, c.type, c.details, c.candidate, c.fingerprint_key, c.binding, c.version, c.revision, c.grant_revision, " +
	"c.state, c.state_message, c.state_since, c.state_until, c.created_at, c.created_by, c.updated_at, c.updated_by, " +
	"c.last_used_at, c.expires_at, c.remind_at, c.kept_alive, " +
	"v.version AS v_version, v.fields AS v_fields, v.secrets AS v_secrets, v.sealed AS v_sealed, " +
	"v.created_at AS v_created_at, v.created_by AS v_created_by, v.origin AS v_origin, v.reach AS v_reach, v.binding AS v_binding"

// withVersion selects credentials with their current version. One whose version is missing comes
// without it and is damaged.
func withVersion(tx *gorm.DB) *gorm.DB {
	return tx.Table("credentials AS c").Select(joinedColumns).
		Joins("LEFT JOIN credential_versions AS v ON v.credential = c.id AND v.version = c.version")
}

// locked has the credentials that withVersion selects stay as they are until the end of tx: an edit
// writes all columns, and must not undo a state that is stored meanwhile. Rows that refer to a
// credential, such as tokens, can still be added. SQLite has one writer and needs no lock.
func locked(tx *gorm.DB) *gorm.DB {
	return tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE", Table: clause.Table{Name: "c"}})
}

func get(tx *gorm.DB, id credentials.ID) (*credentials.Record, error) {
	var row joinedRow
	if err := withVersion(tx).Where("c.id = ?", string(id)).Take(&row).Error; err != nil {
		return nil, database.Translate(err, what(id))
	}
	return new(row.record()), nil
}

// Get implements credentials.Store.
func (s *Store) Get(ctx context.Context, id credentials.ID) (credentials.Record, error) {
	r, err := get(s.db.Read().WithContext(ctx), id)
	if err == nil {
		err = r.Damaged()
	}
	if err != nil {
		return credentials.Record{}, err
	}
	return *r, nil
}

// List implements credentials.Store.
func (s *Store) List(ctx context.Context, f credentials.Filter) ([]credentials.Record, error) {
	q := withVersion(s.db.Read().WithContext(ctx)).Order("c.id")
	if f.Folder != "" && f.Folder != "/" {
		q = q.Where(`(c.folder = ? OR c.folder LIKE ? ESCAPE '\')`, f.Folder, likeText(f.Folder)+"/%")
	}
	if f.Type != "" {
		q = q.Where("c.type = ?", string(f.Type))
	}
	q = narrow(q, &f)
	if f.Query != "" {
		pattern := "%" + likeText(strings.ToLower(f.Query)) + "%"
		q = q.Where(`(c.id LIKE ? ESCAPE '\' OR LOWER(c.name) LIKE ? ESCAPE '\')`, pattern, pattern)
	}
	if f.IDs != nil {
		q = q.Where("c.id IN ?", f.IDs)
	}
	if f.After != "" {
		q = q.Where("c.id > ?", string(f.After))
	}
	if f.Limit > 0 {
		q = q.Limit(f.Limit)
	}
	var rows []joinedRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, database.Translate(err, "credentials")
	}
	records := make([]credentials.Record, len(rows))
	for i, row := range rows {
		records[i] = row.record()
	}
	return records, nil
}

func likeText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// Versions implements credentials.Store.
func (s *Store) Versions(ctx context.Context, id credentials.ID) ([]credentials.VersionInfo, error) {
	var rows []versionRow
	err := s.db.Read().WithContext(ctx).Omit("sealed", "reach", "binding").
		Where("credential = ?", string(id)).Order("version DESC").Find(&rows).Error
	if err == nil && len(rows) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return nil, database.Translate(err, what(id))
	}
	infos := make([]credentials.VersionInfo, len(rows))
	for i, row := range rows {
		if infos[i], err = row.info(rows[0].Version); err != nil {
			return nil, database.Translate(err, what(id))
		}
	}
	return infos, nil
}

// Version implements credentials.Store.
func (s *Store) Version(ctx context.Context, id credentials.ID, number int) (credentials.Version, error) {
	what := fmt.Sprintf("version %d of credential %q", number, id)
	var row versionRow
	if err := s.db.Read().WithContext(ctx).Where("credential = ? AND version = ?", string(id), number).Take(&row).Error; err != nil {
		return credentials.Version{}, database.Translate(err, what)
	}
	v, err := row.version()
	return v, database.Translate(err, what)
}

// Stamp implements credentials.Store.
func (s *Store) Stamp(ctx context.Context, id credentials.ID) (credentials.Stamp, error) {
	var row credentialRow
	err := s.db.Read().WithContext(ctx).Select("revision", "state", "state_message", "state_since", "state_until").
		Where("id = ?", string(id)).Take(&row).Error
	if err != nil {
		return credentials.Stamp{}, database.Translate(err, what(id))
	}
	return credentials.Stamp{Revision: row.Revision, State: row.state()}, nil
}

// SetState implements credentials.Store.
func (s *Store) SetState(ctx context.Context, id credentials.ID, revision int64, state credentials.State) (bool, error) {
	stored := false
	err := s.tx(ctx, func(tx *gorm.DB) (err error) {
		stored, err = setState(tx, id, revision, state)
		return err
	})
	return stored && err == nil, database.Translate(err, what(id))
}

// setState writes a state and, when the status is another one, its events.
func setState(tx *gorm.DB, id credentials.ID, revision int64, state credentials.State) (stored bool, err error) {
	const query = "UPDATE credentials SET state = ?, state_message = ?, state_since = ?, state_until = ? WHERE id = ? AND revision = ?"
	status := string(state.Status)
	args := []any{status, state.Message, micros(state.Since), microsOf(state.Until), string(id), revision}
	done := tx.Exec(query+" AND state <> ?", append(args, status)...)
	if done.Error == nil && done.RowsAffected == 0 {
		done = tx.Exec(query, args...)
		return done.RowsAffected == 1, done.Error
	}
	if done.Error != nil {
		return false, done.Error
	}
	r, err := get(tx, id)
	if err != nil {
		return false, err
	}
	return true, outbox.Append(tx, credentials.StateEvents(r)...)
}

// Touch implements credentials.Store. The order of ids keeps concurrent writers from waiting
// for one another in a circle.
func (s *Store) Touch(ctx context.Context, used map[credentials.ID]time.Time) error {
	ids := make([]credentials.ID, 0, len(used))
	for id := range used {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		for _, id := range ids {
			at := micros(used[id])
			err := tx.Exec("UPDATE credentials SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)", at, string(id), at).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
	return database.Translate(err, "credentials")
}

type canaryRow struct {
	ID     int `gorm:"primaryKey;autoIncrement:false"`
	Sealed []byte
}

func (canaryRow) TableName() string { return "credential_canary" }

// Canary implements credentials.CanaryStore.
func (s *Store) Canary(ctx context.Context) ([]byte, error) {
	return canary(s.db.Write().WithContext(ctx))
}

func canary(tx *gorm.DB) ([]byte, error) {
	var rows []canaryRow
	if err := tx.Find(&rows).Error; err != nil {
		return nil, database.Translate(err, "canary")
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0].Sealed, nil
}

// PutCanary implements credentials.CanaryStore.
func (s *Store) PutCanary(ctx context.Context, sealed []byte) ([]byte, error) {
	tx := s.db.Write().WithContext(ctx)
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&canaryRow{ID: 1, Sealed: sealed}).Error; err != nil {
		return nil, database.Translate(err, "canary")
	}
	return canary(tx)
}

// Empty implements credentials.CanaryStore: whatever is sealed belongs to a credential.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var n int64
	err := s.db.Write().WithContext(ctx).Model(&credentialRow{}).Limit(1).Count(&n).Error
	return n == 0, database.Translate(err, "credentials")
}
