package filesystem_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"keyflow/internal/filesystem"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestTryLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	if err := filesystem.TryLock(first); err != nil {
		t.Fatal(err)
	}
	if err := filesystem.TryLock(second); !errors.Is(err, filesystem.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if _, err := first.WriteString("pid"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "pid" {
		t.Errorf("a locked file reads as %q, %v", got, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := filesystem.TryLock(second); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

func TestLockFolderWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := filesystem.LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	var released atomic.Bool
	second := make(chan error, 1)
	go func() {
		unlock, err := filesystem.LockFolder(dir)
		if err == nil {
			if !released.Load() { // ordered by the lock
				err = errors.New("locked twice")
			}
			unlock()
		}
		second <- err
	}()
	released.Store(true)
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestSyncFolder(t *testing.T) {
	t.Parallel()
	if err := filesystem.SyncFolder(t.TempDir()); err != nil {
		t.Error(err)
	}
}
