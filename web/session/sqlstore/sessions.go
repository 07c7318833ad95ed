package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/alexedwards/scs/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/internal/database"
)

type sessionRow struct {
	Token     string `gorm:"primaryKey"`
	Data      []byte
	ExpiresAt int64
}

func (sessionRow) TableName() string { return "sessions" }

// Sessions implements scs.CtxStore. Each commit also deletes the sessions that have ended.
type Sessions struct {
	db  *database.DB
	now func() time.Time
}

var _ scs.CtxStore = (*Sessions)(nil)

// NewSessions returns the browser sessions kept in db; now decides which have ended.
func NewSessions(db *database.DB, now func() time.Time) *Sessions { return &Sessions{db, now} }

// FindCtx implements scs.CtxStore.
func (s *Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	var row sessionRow
	err = s.db.Read().WithContext(ctx).Take(&row, "token = ? AND expires_at > ?", token, s.now().UnixMicro()).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, false, nil
	}
	return row.Data, err == nil, database.Translate(err, "session")
}

// CommitCtx implements scs.CtxStore.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Delete(&sessionRow{}, "expires_at <= ?", s.now().UnixMicro()).Error; err != nil {
			return err
		}
		return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "token"}}, UpdateAll: true}).
			Create(&sessionRow{Token: token, Data: data, ExpiresAt: expiry.UnixMicro()}).Error
	})
	return database.Translate(err, "session")
}

// DeleteCtx implements scs.CtxStore; an unknown token is no error.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	err := s.db.Write().WithContext(ctx).Delete(&sessionRow{}, "token = ?", token).Error
	return database.Translate(err, "session")
}

// Find implements scs.Store; scs calls FindCtx.
func (s *Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements scs.Store; scs calls CommitCtx.
func (s *Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete implements scs.Store; scs calls DeleteCtx.
func (s *Sessions) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}
