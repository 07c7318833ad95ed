package vault

import (
	"log/slog"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
)

// Viewer completes records for the outside.
type Viewer struct {
	redirectURL string
	usage       *UsageLog
	now         func() time.Time
	log         *slog.Logger
}

// listed is the view of a record in a list, where a damaged one must not hide the others.
func (w *Viewer) listed(r credentials.Record) credentials.Credential {
	if r.Damage != nil {
		r.Credential = credentials.Credential{
			ID: r.ID, Name: r.Name, Folder: r.Folder, Type: r.Type, Version: r.Version, Revision: r.Revision,
			CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy, LastUsedAt: r.LastUsedAt,
			AllowedWorkflows: []string{},
			State:            credentials.State{Status: credentials.Refused, Message: credentials.MessageDamaged, Since: r.UpdatedAt},
		}
	}
	return w.view(r.Credential)
}

// view completes a record for the outside: redirect URL, last use, what the end of a credential
// makes of its state.
func (w *Viewer) view(c credentials.Credential) credentials.Credential {
	c = complete(c)
	if !c.FallBack.Armed(w.now()) {
		c.FallBack = nil
	}
	if c.Type == credentials.TypeOAuth2 && c.Fields["grant_type"] == authtype.AuthorizationCode {
		c.RedirectURL = w.redirectURL
	}
	c.Expires = credentials.ExpiryOf(&c)
	c.State = credentials.ShownState(c.State, c.Expires, w.now())
	if used, ok := w.usage.uses.last(c.ID); ok && (c.LastUsedAt == nil || c.LastUsedAt.Before(used)) {
		c.LastUsedAt = &used
	}
	return c
}
