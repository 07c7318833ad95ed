package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"keyflow/internal/database"
)

// closedAddress is a loopback address that refuses connections until the test ends: it is bound,
// so that no other program can take it, and nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// unreachable is what commands need that must not find a server.
func unreachable(t *testing.T) []string {
	t.Helper()
	return []string{"KEYFLOW_URL=http://" + closedAddress(t)}
}

// requireAddress fails a test whose command would turn to the default address, where any program
// of this machine may listen.
func requireAddress(t *testing.T, env, args []string) {
	t.Helper()
	if len(args) == 0 || slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "KEYFLOW_URL=") }) {
		return
	}
	switch args[0] {
	case "serve", "demo":
		if !slices.Contains(args, "--listen") {
			t.Fatalf("keyflow %v: give it --listen 127.0.0.1:0", args)
		}
	case "keys", "backup":
		i := slices.Index(args, "--data-dir") + 1
		if i == 0 || i == len(args) {
			t.Fatalf("keyflow %v: give it --data-dir or KEYFLOW_URL", args)
		}
		if _, err := os.Stat(filepath.Join(args[i], database.FileName)); err != nil {
			t.Fatalf("keyflow %v: without data it asks a server: give it KEYFLOW_URL", args)
		}
	case "credentials", "workflows", "runs", "triggers", "events", "tokens", "health":
		if len(args) > 1 || args[0] == "health" {
			t.Fatalf("keyflow %v: give it KEYFLOW_URL", args)
		}
	}
}
