package sqlstore

import (
	"context"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/internal/database"
)

// ChangeAll implements credentials.Store.
func (s *Store) ChangeAll(ctx context.Context, ids []credentials.ID, change func(old map[credentials.ID]*credentials.Record, first int64) ([]*credentials.Record, error)) error {
	err := s.tx(ctx, func(tx *gorm.DB) error {
		first, err := takeRevisions(tx, len(ids))
		if err != nil {
			return err
		}
		old, err := records(tx, ids)
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
		for _, r := range changed {
			if err := put(tx, old[r.ID], r); err != nil {
				return database.Translate(err, what(r.ID))
			}
		}
		return nil
	})
	return database.Translate(err, "credentials")
}

// records reads those of ids that exist.
func records(tx *gorm.DB, ids []credentials.ID) (map[credentials.ID]*credentials.Record, error) {
	var rows []joinedRow
	if err := joined(tx).Where("c.id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	found := make(map[credentials.ID]*credentials.Record, len(rows))
	for _, row := range rows {
		found[credentials.ID(row.C.ID)] = new(row.record())
	}
	return found, nil
}
