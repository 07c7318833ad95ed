package sqlstore_test

import (
	"testing"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/triggers"
	"keyflow/triggers/sqlstore"
	"keyflow/triggers/triggerstest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		t.Helper()
		triggerstest.TestStore(t, func() triggers.Store { return sqlstore.New(open()) })
	})
}
