package sqlstore

import (
	"slices"
	"testing"

	"keyflow/internal/database/databasetest"
)

// plainColumns are not walked over: they hold no ciphertext, or stay as they are. The canary has
// its own place in a rotation; outputs of steps go with their runs, and old keys open them.
func plainColumns() []string {
	return []string{
		"steps.sealed", "credential_canary.sealed", "credential_connects.hash", "credential_versions.fields", "credential_versions.reach", "credential_versions.secrets", "credentials.details",
	}
}

// A column of sealed texts that a rotation of the master key does not walk over would stay
// sealed with the old key for ever.
func TestEverySealedColumnIsWalkedOver(t *testing.T) {
	t.Parallel()
	var stored []string
	err := databasetest.SQLite(t).Read().Raw(`SELECT m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND upper(c.type) = 'BLOB' AND (m.name LIKE 'credential%' OR c.name LIKE '%sealed%') ORDER BY 1`).Scan(&stored).Error
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, c := range sealedColumns() {
		known = append(known, c.table+"."+c.column)
	}
	if len(stored) < len(known)+len(plainColumns()) {
		t.Errorf("columns that do not exist are listed: stored %v", stored)
	}
	for _, column := range stored {
		if !slices.Contains(known, column) && !slices.Contains(plainColumns(), column) {
			t.Errorf("%s is neither in sealedColumns nor in plainColumns: if it holds ciphertext, a rotation of the master key must walk over it", column)
		}
	}
}
