package vault

import (
	"context"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/oauth"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
)

// OpenText gives tests one field of the credential as a request would use it now.
func (v *Vault) OpenText(ctx context.Context, id credentials.ID, field string) (string, error) {
	o, err := v.services.reader.Open(ctx, id)
	if err != nil {
		return "", err
	}
	return o.Text(field), nil
}

// OpenGrant gives tests the number that binds tokens to a configuration.
func (v *Vault) OpenGrant(ctx context.Context, id credentials.ID) (int64, error) {
	o, err := v.services.reader.Open(ctx, id)
	if err != nil {
		return 0, err
	}
	return o.Grant, nil
}

// DraftText gives tests one field of unsaved values.
func (v *Vault) DraftText(ctx context.Context, caller identity.Caller, in credentials.Input, field string) (string, error) {
	o, err := v.services.editor.Draft(ctx, caller, in)
	if err != nil {
		return "", err
	}
	return o.Text(field), nil
}

// SetState stores a state as the resolver does after seeing the credential as it is now.
func (v *Vault) SetState(ctx context.Context, id credentials.ID, s credentials.Status, message string) (credentials.State, error) {
	o, err := v.services.reader.Open(ctx, id)
	if err != nil {
		return credentials.State{}, err
	}
	if err := v.services.states.Set(ctx, id, o, s, message); err != nil {
		return credentials.State{}, err
	}
	if o, err = v.services.reader.Open(ctx, id); err != nil {
		return credentials.State{}, err
	}
	return o.State, nil
}

// SetStateSeenBefore stores a state for what the credential was before edit.
func (v *Vault) SetStateSeenBefore(ctx context.Context, id credentials.ID, s credentials.Status, edit func()) error {
	o, err := v.services.reader.Open(ctx, id)
	if err != nil {
		return err
	}
	edit()
	return v.services.states.Set(ctx, id, o, s, "late")
}

// Touch notes a use.
func (v *Vault) Touch(id credentials.ID, now time.Time) { v.services.usage.Touch(id, now) }

// KeepAlive renews what is idle, as Serve does from time to time.
func (v *Vault) KeepAlive(ctx context.Context) error { return v.services.tokens.KeepAlive(ctx) }

// PutToken stores an access token as a sign-in does.
func (v *Vault) PutToken(ctx context.Context, id credentials.ID, access string) error {
	o, err := v.services.reader.Open(ctx, id)
	if err != nil {
		return err
	}
	return v.services.tokens.Put(ctx, o, oauth.Token{Access: secret.New(access)})
}

// StoredToken gives tests the access token in the store.
func (v *Vault) StoredToken(ctx context.Context, id credentials.ID) (string, error) {
	h, _, err := v.services.tokens.Read(ctx, id)
	if err != nil {
		return "", err
	}
	return h.Access.Reveal(), nil
}

// OpenVersion gives tests a secret field of one version, current or not.
func OpenVersion(keys *masterkey.Keyset, id credentials.ID, version int64, field string, sealed []byte) (string, error) {
	text, err := keys.Open(sealing.AssociatedData{Kind: "field", ID: string(id), Version: version, Field: field}, sealed)
	return string(text), err
}
