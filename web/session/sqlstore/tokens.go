package sqlstore

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyflow/internal/database"
	"keyflow/internal/identity"
	"keyflow/web/session"
)

type tokenRow struct {
	ID         string `gorm:"primaryKey"`
	Name       string
	Hash       []byte
	Role       string
	Folder     string
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	CreatedBy  string
	ExpiresAt  *int64
	LastUsedAt *int64
}

func (tokenRow) TableName() string { return "api_tokens" }

// Tokens implements session.TokenStore.
type Tokens struct{ db *database.DB }

var _ session.TokenStore = (*Tokens)(nil)

// NewTokens returns the API tokens kept in db.
func NewTokens(db *database.DB) *Tokens { return &Tokens{db} }

// Create implements session.TokenStore.
func (s *Tokens) Create(ctx context.Context, t session.Token, hash session.Hash) error {
	row := tokenRow{
		ID: t.ID, Name: t.Name, Hash: hash[:], Role: string(t.Role), Folder: t.Folder,
		CreatedAt: t.CreatedAt.UnixMicro(), CreatedBy: t.CreatedBy,
		ExpiresAt: micro(t.ExpiresAt), LastUsedAt: micro(t.LastUsedAt),
	}
	err := s.db.Write().WithContext(ctx).Create(&row).Error
	return database.Translate(err, fmt.Sprintf("a token named %q", t.Name))
}

// ByHash implements session.TokenStore.
func (s *Tokens) ByHash(ctx context.Context, hash session.Hash) (session.Token, error) {
	return s.take(ctx, "the token", "hash = ?", hash[:])
}

// Token implements session.TokenStore.
func (s *Tokens) Token(ctx context.Context, id string) (session.Token, error) {
	return s.take(ctx, fmt.Sprintf("token %q", id), "id = ?", id)
}

func (s *Tokens) take(ctx context.Context, what, condition string, arg any) (session.Token, error) {
	var row tokenRow
	if err := s.db.Read().WithContext(ctx).Where(condition, arg).Take(&row).Error; err != nil {
		return session.Token{}, database.Translate(err, what)
	}
	return row.token(), nil
}

// List implements session.TokenStore; ids are UUIDv7, so their order is that of creation.
func (s *Tokens) List(ctx context.Context, f session.TokenFilter) ([]session.Token, error) {
	q := within(s.db.Read().WithContext(ctx), f.Folder)
	if f.Before != "" {
		q = q.Where("id < ?", f.Before)
	}
	var rows []tokenRow
	if err := q.Order("id DESC").Limit(f.Limit).Find(&rows).Error; err != nil {
		return nil, database.Translate(err, "tokens")
	}
	tokens := make([]session.Token, len(rows))
	for i, row := range rows {
		tokens[i] = row.token()
	}
	return tokens, nil
}

// Touch implements session.TokenStore.
func (s *Tokens) Touch(ctx context.Context, id string, at time.Time) error {
	err := s.db.Write().WithContext(ctx).Model(&tokenRow{}).Where("id = ?", id).
		UpdateColumn("last_used_at", at.UnixMicro()).Error
	return database.Translate(err, "the token")
}

// Delete implements session.TokenStore.
func (s *Tokens) Delete(ctx context.Context, id string) error {
	res := s.db.Write().WithContext(ctx).Delete(&tokenRow{}, "id = ?", id)
	err := res.Error
	if err == nil && res.RowsAffected == 0 {
		err = gorm.ErrRecordNotFound
	}
	return database.Translate(err, fmt.Sprintf("token %q", id))
}

func (r tokenRow) token() session.Token {
	return session.Token{
		ID: r.ID, Name: r.Name, Role: identity.Role(r.Role), Folder: r.Folder,
		CreatedAt: time.UnixMicro(r.CreatedAt).UTC(), CreatedBy: r.CreatedBy,
		ExpiresAt: instant(r.ExpiresAt), LastUsedAt: instant(r.LastUsedAt),
	}
}

func micro(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func instant(us *int64) *time.Time {
	if us == nil {
		return nil
	}
	t := time.UnixMicro(*us).UTC()
	return &t
}
