package sealing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"keyflow/internal/fault"
	"keyflow/internal/filesystem"
)

// unfinishedKeys is the pattern of key files on their way into their place.
const unfinishedKeys = ".master.key-*"

// keyFile is what is known of the key file; its zero value is that of a keyset from elsewhere.
type keyFile struct {
	mu   sync.Mutex
	path string // "": the keys came from the environment
	seen fileStamp
}

// fileStamp tells whether a file changed since it was read.
type fileStamp struct {
	size    int64
	changed time.Time
}

func stampOf(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.Size(), info.ModTime()}
}

func (f *keyFile) read(path string) { f.path, f.seen = path, stampOf(path) }

// reload reads the key file again if it was changed since, because a ciphertext names a key
// that this process does not hold. A file that does not hold all present keys is not taken.
func (k *Keyset) reload() *ring {
	k.file.mu.Lock()
	defer k.file.mu.Unlock()
	r := k.ring.Load()
	if k.file.path == "" || k.fresh || stampOf(k.file.path) == k.file.seen {
		return r
	}
	k.file.seen = stampOf(k.file.path)
	stored, err := k.stored()
	if err != nil || stored.lacks(r) {
		return r
	}
	if stored.newer(r.primary) {
		if stored, err = stored.with(r.primary); err != nil {
			return r
		}
	}
	k.ring.Store(stored)
	return stored
}

// stored is what the key file holds now.
func (k *Keyset) stored() (*ring, error) {
	text, err := os.ReadFile(k.file.path)
	if err != nil {
		return nil, err
	}
	other, err := parseKeyset(string(text), k.file.path)
	if err != nil {
		return nil, err
	}
	return other.ring.Load(), nil
}

// Grow adds a key to the key file; with seals it becomes the primary. The file is on disk
// before anything is sealed with the key. A newest key that is no primary yet is taken instead
// of another one. Errors: Conflict when the file cannot be replaced.
func (k *Keyset) Grow(seals bool) error {
	k.file.mu.Lock()
	defer k.file.mu.Unlock()
	unlock, err := filesystem.LockFolder(filepath.Dir(k.file.path))
	if err != nil {
		return k.cannotWrite(err)
	}
	defer unlock()
	now, err := k.growable()
	if err != nil {
		return err
	}
	removeUnfinished(filepath.Dir(k.file.path))
	if now.newest() == now.primary {
		if now, err = now.grown(); err != nil {
			return fmt.Errorf("make a master key: %w", err)
		}
	}
	if seals {
		if now, err = now.with(now.newest()); err != nil {
			return fmt.Errorf("make a master key: %w", err)
		}
	}
	if err := writeKeys(now, k.file.path, os.Rename); err != nil {
		return k.cannotWrite(err)
	}
	k.file.seen = stampOf(k.file.path)
	k.ring.Store(now)
	return nil
}

// growable is what the key file holds, if the file may be replaced: it must be the one that
// this process read its keys from.
func (k *Keyset) growable() (*ring, error) {
	info, err := os.Lstat(k.file.path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.Conflict, "%s is a link or no file, so it cannot be replaced: rotate in the folder where it belongs", k.file.path)
	}
	var now *ring
	if err == nil {
		now, err = k.stored()
	}
	if err != nil || now.lacks(k.ring.Load()) {
		return nil, fault.New(fault.Conflict, "%s is not the file that this process read its master key from: restore it before you rotate", k.file.path).Because(err)
	}
	return now, nil
}

func (k *Keyset) cannotWrite(err error) error {
	dir := filepath.Dir(k.file.path)
	return fault.New(fault.Conflict, "the new master key cannot be written to %s; the folder must be writable. Nothing was changed", dir).Because(err)
}

// write makes the key file. The whole file appears at once and never takes the place of another.
func (k *Keyset) write() error {
	dir := filepath.Dir(k.source)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = writeKeys(k.ring.Load(), k.source, os.Link)
	}
	if err != nil {
		return &KeyError{Message: "the master key cannot be written to " + dir + "; the folder must be writable", Err: err}
	}
	k.fresh = false
	k.file.read(k.source)
	return nil
}

// writeKeys writes a key file, mode 0600: first beside its place, then, complete and on disk,
// into it.
func writeKeys(r *ring, path string, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, unfinishedKeys) // mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(insecurecleartextkeyset.Write(r.handle, keyset.NewJSONWriter(f)), f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name(), path)
	}
	if gone := os.Remove(f.Name()); err == nil && !errors.Is(gone, fs.ErrNotExist) {
		err = gone
	}
	if err != nil {
		return err
	}
	return filesystem.SyncFolder(dir)
}

// removeUnfinished removes what a process that was killed while it wrote a key file left behind.
func removeUnfinished(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, unfinishedKeys)) // the pattern is well formed
	for _, path := range left {
		_ = os.Remove(path) // whoever owns the folder may remove it, too
	}
}
