package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"keyflow/internal/fault"
	"keyflow/internal/filesystem"
)

// formerSuffix marks a database that a restore has replaced.
const formerSuffix = ".before-restore"

// Backup writes a copy of the whole database, as it is at one moment, to a file that must not
// exist yet. Readers and writers go on meanwhile. It is a Conflict on Postgres, which has tools
// of its own.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	if db.dialect != SQLite {
		return fault.New(fault.Conflict, "this Keyflow is on Postgres: back it up with pg_dump, and restore it with pg_restore or psql")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // VACUUM fills an empty file
	if err != nil {
		return fault.New(fault.Conflict, "the backup %s cannot be made: %v", path, reason(err)).Because(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := f.Close(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: db.path}).EscapedPath()+"?"+url.Values{"_pragma": {"busy_timeout(10000)"}}.Encode())
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if _, err := pool.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fault.New(fault.Unavailable, "the backup cannot be written: is there room on the disk?").Because(err)
	}
	return syncFile(path)
}

// reason is an error of the file system without the path, which the message has.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// intact reports what is wrong with the pages of the database.
func (db *DB) intact(ctx context.Context) error {
	var verdict string
	if err := db.sql.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New(verdict)
	}
	return nil
}

// RestoreOptions say what a restore may do.
type RestoreOptions struct {
	// Dir is the data folder.
	Dir string
	// Force allows to replace a database, which stays beside the new one under another name.
	Force bool
	// Check looks at the restored database before it is put into its place; its error ends the restore.
	Check func(ctx context.Context, db *DB) error
}

// Restore puts a backup into a data folder that no process uses. Until everything about it has
// been checked nothing in the folder changes. former is where the database that it replaced
// is; "" when there was none. Errors: Invalid when the file is no backup, Conflict when the folder
// is in use or holds a database, and those of Check.
func Restore(ctx context.Context, file string, o RestoreOptions) (former string, err error) {
	if err := looksLikeBackup(file); err != nil {
		return "", err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return "", fault.New(fault.Unavailable, "cannot make the data folder %s", o.Dir).Because(err)
	}
	unlock, err := lockFolder(o.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	target := filepath.Join(o.Dir, FileName)
	_, missing := os.Lstat(target)
	if missing == nil && !o.Force {
		return "", fault.New(fault.Conflict, "%s exists: restore into another folder, or repeat with --force, which keeps it as %s", target, FileName+formerSuffix)
	}
	staging, err := os.MkdirTemp(o.Dir, ".restore-*") // mode 0700
	if err != nil {
		return "", fault.New(fault.Unavailable, "cannot write to the data folder %s", o.Dir).Because(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	if err := stage(ctx, file, staging, o.Check); err != nil {
		return "", err
	}
	if missing == nil {
		former = target + formerSuffix
		if err := setAside(target, former); err != nil {
			return "", fault.New(fault.Unavailable, "the present database cannot be set aside").Because(err)
		}
	}
	if err := os.Rename(filepath.Join(staging, FileName), target); err != nil {
		return former, fault.New(fault.Unavailable, "the backup cannot be put into its place").Because(err)
	}
	return former, filesystem.SyncFolder(o.Dir)
}

// looksLikeBackup reads the header of an SQLite database.
func looksLikeBackup(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fault.New(fault.Invalid, "the backup %s cannot be read: %v", file, reason(err)).Because(err)
	}
	defer func() { _ = f.Close() }()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	if n, err := f.Read(head); err != nil || string(head[:n]) != magic {
		return fault.New(fault.Invalid, "%s is no backup of Keyflow", file)
	}
	return nil
}

// stage copies the backup into a folder of its own, where it is checked and brought up to date.
func stage(ctx context.Context, file, staging string, check func(context.Context, *DB) error) (err error) {
	copied := filepath.Join(staging, FileName)
	if err := copyFile(file, copied); err != nil {
		return fault.New(fault.Unavailable, "the backup cannot be copied: is there room on the disk?").Because(err)
	}
	db, err := Open(ctx, Options{Dir: staging})
	if err != nil {
		return fault.New(fault.Invalid, "%s is no backup of Keyflow, or of a later release", file).Because(err)
	}
	defer func() {
		if err = errors.Join(err, db.Close()); err == nil { // closing empties the log beside it
			err = syncFile(copied)
		}
	}()
	if err := db.intact(ctx); err != nil {
		return fault.New(fault.Invalid, "the backup %s is damaged", file).Because(err)
	}
	if check == nil {
		return nil
	}
	return check(ctx, db)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Sync(), out.Close())
}

// setAside gives a database and its log other names that belong together, in place of those of
// an earlier restore. The log goes first: it must never lie beside another database.
func setAside(target, former string) error {
	for _, tail := range []string{"-shm", "-wal", ""} {
		err := os.Remove(former + tail)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(target+tail, former+tail)
		}
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(tail, "-")) {
			return err
		}
	}
	return nil
}
