// Package view completes a record for people and programs outside: defaults, last use, the
// workflows that use it, what its end makes of its state. It sees no secret.
package view

import (
	"context"
	"log/slog"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/usage"
)

// Shown is one credential as people see it.
func (w *Viewer) Shown(ctx context.Context, c credentials.Credential) credentials.Credential {
	page := []credentials.Credential{w.Of(c)}
	if err := w.Usage.CountUsers(ctx, page); err != nil {
		w.Log.WarnContext(ctx, "the workflows that use a credential cannot be counted", "credential", c.ID, "error", err)
	}
	return page[0]
}

// Viewer completes records for the outside.
type Viewer struct {
	RedirectURL string
	Usage       *usage.Log
	Now         func() time.Time
	Log         *slog.Logger
}

// Listed is the view of a record in a list, where a damaged one must not hide the others.
func (w *Viewer) Listed(r credentials.Record) credentials.Credential {
	if r.Damage != nil {
		r.Credential = credentials.Credential{
			ID: r.ID, Name: r.Name, Folder: r.Folder, Type: r.Type, Version: r.Version, Revision: r.Revision,
			CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy, LastUsedAt: r.LastUsedAt,
			AllowedWorkflows: []string{},
			State:            credentials.State{Status: credentials.Refused, Message: credentials.MessageDamaged, Since: r.UpdatedAt},
		}
	}
	return w.Of(r.Credential)
}

// Of completes a record for the outside: redirect URL, last use, what the end of a credential
// makes of its state.
func (w *Viewer) Of(c credentials.Credential) credentials.Credential {
	c = decrypted.Complete(c)
	if !c.FallBack.Armed(w.Now()) {
		c.FallBack = nil
	}
	if c.Type == credentials.TypeOAuth2 && c.Fields["grant_type"] == authtype.AuthorizationCode {
		c.RedirectURL = w.RedirectURL
	}
	c.Expires = credentials.ExpiryOf(&c)
	c.State = credentials.ShownState(c.State, c.Expires, w.Now())
	if used, ok := w.Usage.Last(c.ID); ok && (c.LastUsedAt == nil || c.LastUsedAt.Before(used)) {
		c.LastUsedAt = &used
	}
	return c
}
