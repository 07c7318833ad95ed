// Package sqlstore keeps accounts, browser sessions and API tokens in SQLite or Postgres.
// It owns the tables of migration 00005_sessions and knows nothing about passwords or HTTP.
package sqlstore

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyflow/internal/database"
	"keyflow/internal/identity"
	"keyflow/web/session"
)

type accountRow struct {
	Name         string `gorm:"primaryKey"`
	PasswordHash string
	Role         string
	Folder       string
	CreatedAt    int64 `gorm:"autoCreateTime:false"`
}

func (accountRow) TableName() string { return "accounts" }

type setupRow struct {
	ID         int16 `gorm:"primaryKey;autoIncrement:false"`
	Account    string
	FinishedAt int64
}

func (setupRow) TableName() string { return "setup" }

// Accounts implements session.AccountStore.
type Accounts struct{ db *database.DB }

var _ session.AccountStore = (*Accounts)(nil)

// NewAccounts returns the accounts kept in db.
func NewAccounts(db *database.DB) *Accounts { return &Accounts{db} }

// CreateFirst implements session.AccountStore: the fixed key of the setup row lets one win.
func (s *Accounts) CreateFirst(ctx context.Context, a session.Account) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		at := a.CreatedAt.UnixMicro()
		if err := tx.Create(&setupRow{ID: 1, Account: a.Name, FinishedAt: at}).Error; err != nil {
			return err
		}
		return tx.Create(&accountRow{
			Name: a.Name, PasswordHash: a.PasswordHash, Role: string(a.Role), Folder: a.Folder, CreatedAt: at,
		}).Error
	})
	return database.Translate(err, "the first administrator")
}

// SetupDone implements session.AccountStore.
func (s *Accounts) SetupDone(ctx context.Context) (bool, error) {
	var n int64
	err := s.db.Read().WithContext(ctx).Model(&setupRow{}).Count(&n).Error
	return n > 0, database.Translate(err, "set-up")
}

// Account implements session.AccountStore.
func (s *Accounts) Account(ctx context.Context, name string) (session.Account, error) {
	var row accountRow
	if err := s.db.Read().WithContext(ctx).Take(&row, "name = ?", name).Error; err != nil {
		return session.Account{}, database.Translate(err, "the account")
	}
	return session.Account{
		Name: row.Name, PasswordHash: row.PasswordHash, Role: identity.Role(row.Role), Folder: row.Folder,
		CreatedAt: time.UnixMicro(row.CreatedAt).UTC(),
	}, nil
}

// within adds a condition for one folder and all below it; "" and "/" are everywhere.
func within(q *gorm.DB, folder string) *gorm.DB {
	if folder == "" || folder == "/" {
		return q
	}
	below := strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(folder) + "/%"
	return q.Where("folder = ? OR folder LIKE ? ESCAPE '!'", folder, below)
}
