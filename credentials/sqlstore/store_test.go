package sqlstore_test

import (
	"testing"

	"keyflow/credentials/credentialstest"
	"keyflow/credentials/sqlstore"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		credentialstest.TestStore(t, func(*testing.T) credentialstest.Store { return sqlstore.New(open()) })
	})
}
