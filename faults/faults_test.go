package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The short form of make faults: kill -9 and SIGTERM of real processes under a little load.
func TestFewFaults(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "keyflow")
	if err := build(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kill", "term"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := choose(name, false)
			if err != nil {
				t.Fatal(err)
			}
			o := options{span: 2500 * time.Millisecond, duration: time.Nanosecond, rate: 12, seed: 7, faults: chosen}
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
