package sqlstore

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/credentials"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// Token implements credentials.TokenStore. It reads from the writer, so that what was stored
// just now is seen.
func (s *Store) Token(ctx context.Context, id credentials.ID) (credentials.Token, error) {
	var rows []tokenRow
	if err := s.db.Write().WithContext(ctx).Where("credential = ?", string(id)).Find(&rows).Error; err != nil {
		return credentials.Token{}, database.Translate(err, what(id))
	}
	token := credentials.Token{Credential: id}
	if len(rows) == 1 {
		token.Generation, token.Grant, token.Sealed = rows[0].Generation, rows[0].GrantRevision, rows[0].Sealed
		if at := momentOf(rows[0].RenewalStarted); at != nil {
			token.RenewalStarted = *at
		}
	}
	return token, nil
}

// SwapToken implements credentials.TokenStore. Each statement compares and writes at once.
func (s *Store) SwapToken(ctx context.Context, next credentials.Token, seen int64) (bool, error) {
	tx := s.db.Write().WithContext(ctx)
	done := tx.Exec("UPDATE credential_tokens SET generation = ?, grant_revision = ?, sealed = ?, renewal_started = ? WHERE credential = ? AND generation = ?",
		next.Generation, next.Grant, next.Sealed, microsOf(next.RenewalStarted), string(next.Credential), seen)
	if done.Error == nil && done.RowsAffected == 0 && seen == 0 {
		done = tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&tokenRow{
			Credential: string(next.Credential), Generation: next.Generation, GrantRevision: next.Grant,
			Sealed: next.Sealed, RenewalStarted: microsOf(next.RenewalStarted),
		})
		if errors.Is(done.Error, gorm.ErrForeignKeyViolated) {
			return false, nil // the credential is gone
		}
	}
	if done.Error != nil {
		return false, database.Translate(done.Error, what(next.Credential))
	}
	return done.RowsAffected == 1, nil
}

// PutConnect implements credentials.TokenStore.
func (s *Store) PutConnect(ctx context.Context, c credentials.Connect, now time.Time) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("expires_at <= ?", micros(now)).Delete(&connectRow{}).Error; err != nil {
			return err
		}
		return tx.Create(&connectRow{
			Hash: c.Hash, Credential: string(c.Credential), Session: c.Session, GrantRevision: c.Grant,
			Sealed: c.Sealed, ExpiresAt: micros(c.ExpiresAt),
		}).Error
	})
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		err = gorm.ErrRecordNotFound
	}
	return database.Translate(err, what(c.Credential))
}

// TakeConnect implements credentials.TokenStore.
func (s *Store) TakeConnect(ctx context.Context, hash []byte, now time.Time) (credentials.Connect, error) {
	var rows []connectRow
	err := s.db.Write().WithContext(ctx).Raw("DELETE FROM credential_connects WHERE hash = ? RETURNING hash, credential, session, grant_revision, sealed, expires_at", hash).Scan(&rows).Error
	if err != nil {
		return credentials.Connect{}, database.Translate(err, "connect")
	}
	if len(rows) == 0 || rows[0].ExpiresAt <= micros(now) {
		return credentials.Connect{}, fault.New(fault.NotFound, "this connect is unknown, was used already or has expired: begin again")
	}
	return credentials.Connect{
		Hash: rows[0].Hash, Credential: credentials.ID(rows[0].Credential), Session: rows[0].Session,
		Grant: rows[0].GrantRevision, Sealed: rows[0].Sealed, ExpiresAt: moment(rows[0].ExpiresAt),
	}, nil
}

// FailToken implements credentials.TokenStore. Writing the token row first keeps a renewal that
// ends at the same moment from coming in between.
func (s *Store) FailToken(ctx context.Context, id credentials.ID, generation, revision int64, state credentials.State) (bool, error) {
	stored := false
	err := s.tx(ctx, func(tx *gorm.DB) error {
		var rows []int64
		if err := tx.Raw("UPDATE credential_tokens SET generation = generation WHERE credential = ? RETURNING generation", string(id)).Scan(&rows).Error; err != nil {
			return err
		}
		current := int64(0)
		if len(rows) == 1 {
			current = rows[0]
		}
		if current != generation {
			return nil
		}
		var err error
		stored, err = setState(tx, id, revision, state)
		return err
	})
	return stored && err == nil, database.Translate(err, what(id))
}

// Lease implements credentials.TokenStore.
func (s *Store) Lease(ctx context.Context, id credentials.ID, holder string, life time.Duration, now time.Time) (left time.Duration, err error) {
	err = s.exclusively(ctx, id, now, func(tx *gorm.DB, at int64) error {
		taken := tx.Exec(`INSERT INTO credential_leases (credential, holder, expires_at) VALUES (?, ?, ?)
			ON CONFLICT (credential) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE credential_leases.holder = excluded.holder OR credential_leases.expires_at <= ?`,
			string(id), holder, at+life.Microseconds(), at)
		if taken.Error != nil || taken.RowsAffected == 1 {
			return taken.Error
		}
		var end int64
		err := tx.Raw("SELECT expires_at FROM credential_leases WHERE credential = ?", string(id)).Scan(&end).Error
		left = time.Duration(end-at) * time.Microsecond
		return err
	})
	return left, err
}

// Release implements credentials.TokenStore.
func (s *Store) Release(ctx context.Context, id credentials.ID, holder string) error {
	done := s.db.Write().WithContext(ctx).Exec("DELETE FROM credential_leases WHERE credential = ? AND holder = ?", string(id), holder)
	return database.Translate(done.Error, what(id))
}
