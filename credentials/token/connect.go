package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/oauth"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// connectLife is how long a person may take to sign in at the provider.
const connectLife = 10 * time.Minute

// Connections lets people connect credentials at their providers.
type Connections struct {
	Tokens    *Tokens
	Provider  *Provider
	Store     credentials.TokenStore
	Sealer    *decrypted.Sealer
	Gate      *access.Gate
	Reader    *decrypted.Reader
	States    *status.States
	Connected func(id credentials.ID)
	Get       func(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error)
	Now       func() time.Time
}

// begunConnect is what the callback needs of the connect that began it, sealed.
type begunConnect struct {
	Verifier string `json:"verifier,omitempty"` // PKCE
}

// Connect begins an authorization-code connect and returns where to send the browser. session
// identifies the browser session that must finish it, within ten minutes. Errors: NotFound,
// Forbidden, Conflict when the credential is of another kind.
func (cn *Connections) Connect(ctx context.Context, caller identity.Caller, id credentials.ID, session string) (authorizationURL string, err error) {
	o, err := cn.Gate.Current(ctx, caller, identity.ManageCredentials, id)
	if err != nil {
		return "", err
	}
	if err := connectable(o); err != nil {
		return "", err
	}
	if session == "" {
		return "", fault.New(fault.Unauthenticated, "connecting a credential needs a browser session; sign in to the admin page")
	}
	cfg := cn.Provider.Config(o)
	state, verifier := oauth.NewSecret(), ""
	if cfg.PKCE {
		verifier = oauth.NewSecret()
	}
	text, err := json.Marshal(begunConnect{verifier})
	if err != nil {
		return "", err
	}
	sealed, err := cn.Sealer.SealConnect(id, text)
	if err != nil {
		return "", err
	}
	now := credentials.Moment(cn.Now())
	hash := sha256.Sum256([]byte(state))
	err = cn.Store.PutConnect(ctx, credentials.Connect{
		Hash: hash[:], Credential: id, Session: hashOf(session), Grant: o.Grant,
		Sealed: sealed, ExpiresAt: now.Add(connectLife),
	}, now)
	if err != nil {
		return "", fmt.Errorf("begin connect of credential %q: %w", id, err)
	}
	return cfg.ConsentURL(state, verifier), nil
}

func connectable(o *decrypted.Credential) error {
	if o.Type != credentials.TypeOAuth2 || o.Text("grant_type") != authtype.AuthorizationCode {
		return fault.New(fault.Conflict, "credential %q is not connected by a person: only oauth2 with grant_type authorization_code is", o.ID)
	}
	return nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Disconnect gives up the token. The provider is not notified.
func (cn *Connections) Disconnect(ctx context.Context, caller identity.Caller, id credentials.ID) error {
	o, err := cn.Gate.Current(ctx, caller, identity.ManageCredentials, id)
	if err != nil {
		return err
	}
	if err := connectable(o); err != nil {
		return err
	}
	if err := cn.Tokens.Put(ctx, o, oauth.Token{}); err != nil {
		return err
	}
	return cn.noteConnection(ctx, caller, o, credentials.NeedsConnect, "disconnected by "+caller.Name)
}

// noteConnection stores the state of a credential whose token has just come or gone. An edit
// meanwhile does not matter unless it ended the grant, which decides on the state itself.
func (cn *Connections) noteConnection(ctx context.Context, caller identity.Caller, o *decrypted.Credential, s credentials.Status, message string) error {
	for range storeTries {
		if err := cn.States.Set(ctx, o.ID, o, s, message); err != nil {
			return err
		}
		now, err := cn.Gate.Current(ctx, caller, identity.ManageCredentials, o.ID)
		if err != nil || now.Revision == o.Revision || now.Grant != o.Grant {
			return err
		}
		o = now
	}
	return fault.New(fault.Conflict, "credential %q changes all the time; try again", o.ID)
}

// Refresh renews the token now. Errors: NotFound, Forbidden, Conflict when the type has no
// token or the provider refuses.
func (cn *Connections) Refresh(ctx context.Context, caller identity.Caller, id credentials.ID) error {
	o, err := cn.Gate.Current(ctx, caller, identity.ManageCredentials, id)
	if err != nil {
		return err
	}
	if !o.AuthType.Renews {
		return fault.New(fault.Conflict, "credential %q has no token to refresh: only oauth2 has", id)
	}
	_, err = cn.Tokens.RenewNow(ctx, o)
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return fault.New(fault.Conflict, "%s", e.Message).Because(err)
	}
	return err
}
