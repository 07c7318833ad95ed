package sqlstore_test

import (
	"testing"
	"time"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/web/session/sessiontest"
	"keyflow/web/session/sqlstore"
)

func TestStores(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		sessiontest.TestStores(t, func(t *testing.T, now func() time.Time) sessiontest.Stores {
			db := open()
			return sessiontest.Stores{
				Accounts: sqlstore.NewAccounts(db),
				Tokens:   sqlstore.NewTokens(db),
				Sessions: sqlstore.NewSessions(db, now),
			}
		})
	})
}
