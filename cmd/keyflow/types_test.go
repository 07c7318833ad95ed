package main

import (
	"slices"
	"testing"

	"keyflow/credentials/authtype"
)

// requireTypes holds the table of a test to have a row for each authentication type that needs
// one; advice says what to add.
func requireTypes(t *testing.T, tested map[string]bool, needs func(authtype.Type) bool, advice string) {
	t.Helper()
	for _, typ := range authtype.All() {
		if needs(typ) && !tested[string(typ.Name)] {
			t.Errorf("authentication type %s is not tested here: %s", typ.Name, advice)
		}
	}
}

func holdsSecrets(t authtype.Type) bool {
	return slices.ContainsFunc(t.Fields, func(f authtype.Field) bool { return f.Secret })
}

func verifiesWebhooks(t authtype.Type) bool { return t.Verify != nil }
