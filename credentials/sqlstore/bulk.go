package sqlstore

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/credentials"
	"keyflow/internal/database"
	"keyflow/internal/outbox"
	queue "keyflow/internal/outbox/sqlstore"
)

// batch is how many rows one statement creates. The parameters of a statement are limited.
const batch = 200

// ChangeAll implements credentials.Store.
func (s *Store) ChangeAll(ctx context.Context, ids []credentials.ID, change func(old map[credentials.ID]*credentials.Record, first int64) ([]*credentials.Record, error)) error {
	err := s.tx(ctx, func(tx *gorm.DB) error {
		first, err := takeRevisions(tx, len(ids))
		if err != nil {
			return err
		}
		old, err := records(locked(tx), ids)
		if err != nil {
			return err
		}
		given := make(map[credentials.ID]*credentials.Record, len(old))
		for id, r := range old {
			given[id] = new(*r)
		}
		changed, err := change(given, first)
		if err != nil {
			return err
		}
		return putAll(tx, old, changed)
	})
	return database.Translate(err, "credentials")
}

// putAll stores records with as few statements as it can: on SQLite nobody else writes meanwhile.
func putAll(tx *gorm.DB, old map[credentials.ID]*credentials.Record, changed []*credentials.Record) error {
	var created []credentialRow
	var events []outbox.Event
	versions := make([]versionRow, len(changed))
	for i, r := range changed {
		was := old[r.ID]
		row, version, err := toRows(r)
		if err != nil {
			return err
		}
		planned := row.plan(was, r)
		if versions[i] = version; was == nil {
			created = append(created, row)
		} else if err := update(tx, &row, planned); err != nil {
			return database.Translate(err, what(r.ID))
		}
		events = append(events, credentials.ChangeEvents(was, r)...)
	}
	if len(created) > 0 {
		if err := tx.CreateInBatches(created, batch).Error; err != nil {
			return err
		}
	}
	if len(versions) > 0 {
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(versions, batch).Error; err != nil {
			return err
		}
	}
	for part := range slices.Chunk(events, batch) {
		if err := queue.Append(tx, part...); err != nil {
			return err
		}
	}
	return nil
}

// records reads those of ids that exist. The order is that of Touch, so that neither waits for
// the other in a circle.
func records(tx *gorm.DB, ids []credentials.ID) (map[credentials.ID]*credentials.Record, error) {
	var rows []joinedRow
	if err := withVersion(tx).Where("c.id IN ?", ids).Order("c.id").Find(&rows).Error; err != nil {
		return nil, err
	}
	found := make(map[credentials.ID]*credentials.Record, len(rows))
	for _, row := range rows {
		found[credentials.ID(row.C.ID)] = new(row.record())
	}
	return found, nil
}
