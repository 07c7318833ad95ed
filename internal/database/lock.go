package database

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"keyflow/internal/fault"
	"keyflow/internal/filesystem"
)

// lockFolder locks the data folder for this process; the lock ends with the process, however
// that ends. The file holds the pid of the owner for the error message.
func lockFolder(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, "keyflow.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "cannot write to the data folder %s", dir).Because(err)
	}
	if err := filesystem.TryLock(f); err != nil {
		pid, _ := io.ReadAll(io.LimitReader(f, 32))
		closeErr := f.Close()
		if errors.Is(err, filesystem.ErrLocked) {
			return nil, fault.New(fault.Conflict, "the data folder %s is in use by another keyflow process (pid %s): stop it, or choose another --data-dir",
				dir, strings.TrimSpace(string(pid))).Because(closeErr)
		}
		return nil, fmt.Errorf("lock data folder: %w", errors.Join(err, closeErr))
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder: %w", err), f.Close())
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder: %w", err), f.Close())
	}
	return f.Close, nil
}
