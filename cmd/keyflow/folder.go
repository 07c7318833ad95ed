package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"keyflow/internal/identity"
	"keyflow/workflows"
)

// folderEvery is how often the folder of serve --workflows is read. A change counts when it is the
// same twice, so that files are not applied while they are written.
const folderEvery = time.Second

// folder applies the workflow files of a directory, at the start and when they change. All
// are checked before the first is applied: a bad file changes nothing.
type folder struct {
	dir     string
	catalog *workflows.Catalog
	log     *slog.Logger

	applied string          // fingerprint of the files that were last applied or refused
	known   map[string]bool // workflows that were in the files
}

// filesCaller is the caller of Apply; it is shown as updated_by.
func filesCaller() identity.Caller {
	return identity.Caller{Name: "files", Role: identity.Admin, Folder: "/"}
}

// serve watches until ctx is done.
func (f *folder) serve(ctx context.Context) error {
	before, err := f.fingerprint()
	if err == nil {
		f.apply(ctx, before)
	}
	ticker := time.NewTicker(folderEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := f.fingerprint()
		if err != nil {
			now = "unreadable: " + err.Error()
		}
		if now == before && now != f.applied {
			f.apply(ctx, now)
		}
		before = now
	}
}

// fingerprint changes when a file is created, deleted or written. It follows links, by which
// mounted configuration changes.
func (f *folder) fingerprint() (string, error) {
	names, err := jsonFiles(f.dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, name, info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}

// apply applies the files. Problems are logged, and the files are tried again when one changes;
// after an error of the store they are tried again at once.
func (f *folder) apply(ctx context.Context, seen string) {
	files, err := f.read()
	if err != nil {
		f.log.ErrorContext(ctx, "workflow files cannot be read; nothing was applied", "folder", f.dir, "error", err)
		f.applied = seen
		return
	}
	if bad := f.problems(ctx, files); bad > 0 {
		f.log.ErrorContext(ctx, "workflow files have problems; nothing was applied", "folder", f.dir, "files", bad)
		f.applied = seen
		return
	}
	present := make(map[string]bool, len(files))
	for _, file := range files {
		id := file.definition.ID
		present[string(id)] = true
		done, err := f.catalog.Apply(ctx, filesCaller(), id, file.source, -1)
		if err != nil {
			f.log.ErrorContext(ctx, "workflow file not applied; it is tried again", "file", file.File, "error", err)
			return
		}
		if done.Changed || done.Created {
			f.log.InfoContext(ctx, "workflow file applied", "file", file.File, "workflow", id, "version", done.Version)
		}
	}
	for id := range f.known {
		if !present[id] {
			f.log.WarnContext(ctx, "a workflow is no longer in the folder; it stays until it is deleted", "folder", f.dir, "workflow", id)
		}
	}
	f.applied, f.known = seen, present
}

func (f *folder) read() ([]checkedFile, error) {
	names, err := jsonFiles(f.dir)
	if err != nil {
		return nil, err
	}
	files := make([]checkedFile, len(names))
	for i, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		d, _ := workflows.Parse(source)
		files[i] = checkedFile{File: name, definition: d, source: source}
	}
	return files, nil
}

// problems logs all problems and returns how many files have some.
func (f *folder) problems(ctx context.Context, files []checkedFile) (bad int) {
	for i := range files {
		file := &files[i]
		file.found(f.catalog.Validate(ctx, file.source))
		if file.definition != nil {
			file.compareWith(ctx, files[:i])
		}
		for _, p := range file.Errors {
			f.log.ErrorContext(ctx, "problem in a workflow file",
				"at", fmt.Sprintf("%s:%d:%d", file.File, max(p.Line, 1), max(p.Column, 1)), "path", p.Path, "problem", p.Message)
		}
		if !file.Valid {
			bad++
		}
	}
	return bad
}
