package system

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/session"
)

// backup answers with a copy of the database, for administrators. The master key and the
// admin token are files of their own and not in it.
func (h *handlers) backup(ctx context.Context, who session.Who, _ *struct{}) (*huma.StreamResponse, error) {
	if err := who.Caller.Require(identity.Administer, "/"); err != nil {
		return nil, err
	}
	if h.Backup == nil {
		return nil, fault.New(fault.Conflict, "this server cannot be backed up through the API")
	}
	f, err := h.copied(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer func() { _ = f.Close() }()
		if info, err := f.Stat(); err == nil {
			out.SetHeader("Content-Length", fmt.Sprint(info.Size()))
		}
		out.SetHeader("Content-Type", "application/vnd.sqlite3")
		out.SetHeader("Cache-Control", "no-store")
		_, _ = io.Copy(out.BodyWriter(), f) // the client sees by the length that it broke off
	}}, nil
}

// copied is a copy of the database that goes away when it is closed.
func (h *handlers) copied(ctx context.Context) (*os.File, error) {
	dir, err := os.MkdirTemp("", "keyflow-backup-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // an open file outlives its name
	path := filepath.Join(dir, "keyflow.db")
	if err := h.Backup(ctx, path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return f, nil
}
