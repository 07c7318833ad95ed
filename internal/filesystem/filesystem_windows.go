package filesystem

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// lockName is the file that stands for its folder in LockFolder: Windows cannot lock folders.
const lockName = ".folder.lock"

// TryLock locks an open file for this process alone, or returns [ErrLocked] at once. Closing
// the file, or the end of the process, unlocks it. Other processes can still read the file.
func TryLock(f *os.File) error {
	err := lock(f, windows.LOCKFILE_FAIL_IMMEDIATELY)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// LockFolder waits until no other process has locked the folder, and locks it until unlock is
// called or the process ends.
func LockFolder(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

// lock locks one byte far beyond the content: locked bytes cannot be read by other processes.
func lock(f *os.File, flags uint32) error {
	beyond := &windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|flags, 0, 1, 0, beyond)
}

// SyncFolder does nothing: Windows has no sync of folders, and NTFS journals their entries.
func SyncFolder(string) error { return nil }
