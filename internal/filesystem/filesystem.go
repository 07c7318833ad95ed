// Package filesystem is what Keyflow needs of a file system and each operating system does in
// its own way: locks that end with the process, and folder entries that survive a power cut.
//
// It knows nothing of what the files hold.
package filesystem

import "errors"

// ErrLocked reports that another process, or another open file of this one, holds the lock.
var ErrLocked = errors.New("locked by another process")
