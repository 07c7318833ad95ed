// Package system has the routes of the installation itself: master keys and backups.
//
// It must not know what a key seals or how a database is copied.
package system

import (
	"context"

	"keyflow/credentials"
	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
)

// Options is what the routes need.
type Options struct {
	Keys MasterKeys
	// Backup writes a copy of the database to a new file; nil cannot.
	Backup func(ctx context.Context, path string) error
}

type handlers struct{ Options }

// Register adds the routes.
func Register(a *rest.API, o Options) {
	h := &handlers{o}
	rest.Add(a, rest.Get("/keys", "Master keys by id, what each has sealed, and how far a rotation is"), h.keyStatus)
	rest.Add(a, rest.Post("/keys/rotate", "Add a master key and re-encrypt every secret with it, in the background").Answers(202), h.rotateKeys)
	rest.Add(a, rest.Post("/backup", "A copy of the SQLite database, without the master key"), h.backup)
}

// MasterKeys are for administrators.
type MasterKeys interface {
	Keys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error)
	// RotateKeys begins a re-encryption in the background, or returns the status of the active one.
	RotateKeys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error)
}

func (h *handlers) keyStatus(ctx context.Context, who session.Who, _ *struct{}) (*rest.Answer[credentials.KeyStatus], error) {
	status, err := h.Keys.Keys(ctx, who.Caller)
	if err != nil {
		return nil, err
	}
	return rest.OK(status), nil
}

func (h *handlers) rotateKeys(ctx context.Context, who session.Who, _ *struct{}) (*rest.Answer[credentials.KeyStatus], error) {
	status, err := h.Keys.RotateKeys(ctx, who.Caller)
	if err != nil {
		return nil, err
	}
	out := rest.OK(status)
	out.Status = 202
	return out, nil
}
