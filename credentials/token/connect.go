package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/oauth"
	"keyflow/credentials/redact"
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

// Callback finishes a connect with the query that the provider sent the browser back with. It
// stores the token and returns the credential. Every error is a fault with a message for a
// person and leaves credential and token as they were.
func (cn *Connections) Callback(ctx context.Context, caller identity.Caller, session string, query url.Values) (credentials.Credential, error) {
	o, begun, err := cn.begun(ctx, caller, session, query.Get("state"))
	if err != nil {
		return credentials.Credential{}, err
	}
	if err := checkCallback(o, query); err != nil {
		return credentials.Credential{}, err
	}
	if o, err = cn.Reader.Resolved(ctx, o); err != nil {
		return credentials.Credential{}, fault.New(fault.Conflict, "%s", problem.Message(err)).Because(err)
	}
	token, err := cn.Provider.Client().Exchange(ctx, cn.Provider.Config(o), query.Get("code"), begun.Verifier)
	if err != nil {
		message := "the sign-in worked, but the provider gave no token"
		if e, ok := errors.AsType[*oauth.Error](err); ok {
			message += ": " + e.Message
		}
		return credentials.Credential{}, fault.New(fault.Conflict, "%s", message).Because(err)
	}
	if err := cn.Tokens.Put(ctx, o, token); err != nil {
		return credentials.Credential{}, err
	}
	if err := cn.noteConnection(ctx, caller, o, credentials.OK, ""); err != nil {
		return credentials.Credential{}, fmt.Errorf("store state of credential %q: %w", o.ID, err)
	}
	cn.Connected(o.ID)
	return cn.Get(ctx, caller, o.ID)
}

// begun takes the connect that state belongs to; it can be taken once.
func (cn *Connections) begun(ctx context.Context, caller identity.Caller, session, state string) (*decrypted.Credential, begunConnect, error) {
	const again = "; open the credential and press Connect again"
	if state == "" {
		return nil, begunConnect{}, fault.New(fault.Invalid, "the answer of the provider has no state, so it cannot be matched to a connect"+again)
	}
	hash := sha256.Sum256([]byte(state))
	c, err := cn.Store.TakeConnect(ctx, hash[:], credentials.Moment(cn.Now()))
	if fault.Is(err, fault.NotFound) {
		return nil, begunConnect{}, fault.New(fault.Conflict, "this connect is unknown, was used already, or is older than ten minutes"+again)
	}
	if err != nil {
		return nil, begunConnect{}, err
	}
	if session == "" || subtle.ConstantTimeCompare([]byte(c.Session), []byte(hashOf(session))) != 1 {
		return nil, begunConnect{}, fault.New(fault.Forbidden, "this connect was begun in another browser session"+again)
	}
	o, err := cn.Gate.Current(ctx, caller, identity.ManageCredentials, c.Credential)
	if err != nil {
		return nil, begunConnect{}, err
	}
	if o.Grant != c.Grant {
		return nil, begunConnect{}, fault.New(fault.Conflict, "credential %q was changed while you signed in"+again, o.ID)
	}
	text, err := cn.Sealer.OpenConnect(o.ID, c.Sealed)
	if err != nil {
		return nil, begunConnect{}, decrypted.Damaged(o.ID, map[string]error{"connect": err})
	}
	var p begunConnect
	return o, p, json.Unmarshal(text, &p)
}

// checkCallback looks at what the provider said in the browser's address.
func checkCallback(o *decrypted.Credential, query url.Values) error {
	show := func(text string) string {
		hide := redact.New(redact.Secrets{Values: append(o.Hidden(), query.Get("code"), query.Get("state"))})
		return hide.String(strings.ToValidUTF8(text[:min(len(text), 2<<10)], ""))
	}
	if code := query.Get("error"); code != "" {
		message := "the provider answered " + show(code)
		if code == "access_denied" {
			message = "access was denied at the provider"
		}
		if text := query.Get("error_description"); text != "" {
			message += ": " + show(text)
		}
		return fault.New(fault.Conflict, "%s; nothing was changed", message)
	}
	if issuer := query.Get("iss"); issuer != "" && !issuedBy(o, issuer) {
		return fault.New(fault.Conflict, "the answer comes from another provider (%s) than the one you were sent to; nothing was changed", show(issuer))
	}
	if query.Get("code") == "" {
		return fault.New(fault.Invalid, "the answer of the provider holds no code; nothing was changed")
	}
	return nil
}

// issuedBy compares the issuer of RFC 9207 with the host that the person was sent to or that
// tokens come from: the record does not state the issuer itself.
func issuedBy(o *decrypted.Credential, issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return false
	}
	for _, field := range []string{"authorization_url", "access_token_url"} {
		if own, err := url.Parse(o.Text(field)); err == nil && own.Scheme == u.Scheme && strings.EqualFold(own.Host, u.Host) {
			return true
		}
	}
	return false
}

// Put stores a token that a person's sign-in brought, whatever renewals do meanwhile.
func (ts *Tokens) Put(ctx context.Context, o *decrypted.Credential, token oauth.Token) error {
	for range storeTries {
		before, _, err := ts.Read(ctx, o.ID)
		if err != nil {
			return err
		}
		next := &Cached{Token: token, Generation: before.Generation + 1, Grant: o.Grant}
		row, err := ts.sealToken(o.ID, next, time.Time{})
		if err != nil {
			return err
		}
		stored, err := ts.Store.SwapToken(ctx, row, before.Generation)
		if err != nil {
			return fmt.Errorf("store token of credential %q: %w", o.ID, err)
		}
		if stored {
			ts.Renewals.put(o.ID, next)
			return nil
		}
	}
	return fault.New(fault.Conflict, "the token of credential %q changes all the time; press Connect again", o.ID)
}

// Disconnect gives up the token. The provider is not told.
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

// RenewNow renews on a person's request.
func (ts *Tokens) RenewNow(ctx context.Context, o *decrypted.Credential) (*Cached, error) {
	before, _, err := ts.Read(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	ts.Renewals.put(o.ID, before)
	return ts.Renew(ctx, o, before.Generation, byRequest)
}
