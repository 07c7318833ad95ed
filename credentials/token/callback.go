package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/oauth"
	"keyflow/credentials/redact"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

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

// checkCallback checks what the provider said in the browser's address.
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
