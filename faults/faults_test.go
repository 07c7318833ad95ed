//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keyflow/internal/database/databasetest"
)

// The short form of make faults: kill -9 and SIGTERM of real processes under a little load, and
// COMMITs of the journal on Postgres whose answers are lost.
func TestFewFaults(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "keyflow")
	if err := build(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	for name, database := range map[string]string{"kill": "", "term": "", "pg-commit": os.Getenv(databasetest.EnvPostgres)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := choose(name, database != "")
			if err != nil {
				t.Fatal(err)
			}
			o := options{span: 2500 * time.Millisecond, duration: time.Nanosecond, rate: 12, seed: 7, faults: chosen, database: database}
			own := filepath.Join(t.TempDir(), "keyflow")
			if err := os.Link(binary, own); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			violations, err := campaign(t.Context(), o, own, &out)
			if err != nil || violations > 0 {
				t.Errorf("%v\n%s", err, &out)
			}
		})
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"an unknown fault":            {"-faults", "kill,earthquake"},
		"a fault of another database": {"-faults", "pg-cut"},
		"an unknown database":         {"-database", "oracle"},
	} {
		if _, err := parse(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
