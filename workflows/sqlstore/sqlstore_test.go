package sqlstore_test

import (
	"testing"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/workflows"
	"keyflow/workflows/sqlstore"
	"keyflow/workflows/workflowstest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		t.Helper()
		workflowstest.TestStore(t, func() workflows.Store { return sqlstore.New(open()) })
	})
}
