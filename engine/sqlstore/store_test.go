package sqlstore_test

import (
	"testing"

	"keyflow/engine/enginetest"
	"keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		enginetest.TestStore(t, func(t *testing.T) enginetest.Stores {
			db := open()
			stores := enginetest.Stores{Store: newStore(t, db), Owners: heartbeat.New(db)}
			if db.Dialect() == database.Postgres {
				stores.Other = newStore(t, db)
			}
			return stores
		})
	})
}

func newStore(tb testing.TB, db *database.DB) *sqlstore.Store {
	tb.Helper()
	store, err := sqlstore.New(db)
	if err != nil {
		tb.Fatal(err)
	}
	return store
}
