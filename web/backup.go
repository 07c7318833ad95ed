package web

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// backup answers with a copy of the database, for administrators. The master key and the
// admin token are files of their own and not in it.
func (s *server) backup(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if err := requestFrom(ctx).who.Caller.Require(identity.Administer, "/"); err != nil {
		s.fail(ctx, w, err)
		return
	}
	if s.backUp == nil {
		s.fail(ctx, w, fault.New(fault.Conflict, "this server cannot be backed up through the API"))
		return
	}
	dir, err := os.MkdirTemp("", "keyflow-backup-") // mode 0700
	if err != nil {
		s.fail(ctx, w, fmt.Errorf("backup: %w", err))
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "keyflow.db")
	if err := s.backUp(ctx, path); err != nil {
		s.fail(ctx, w, err)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		s.fail(ctx, w, fmt.Errorf("backup: %w", err))
		return
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil {
		w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
	}
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.Copy(w, f) // the client sees by the length that it broke off
}
