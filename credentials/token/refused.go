package token

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

// RefusedByProvider reports whether a token request was refused for good.
func RefusedByProvider(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Kind != oauth.Transient
}

// refusedToken turns a failed token request into a state of the credential and a step error.
func (ts *Tokens) refusedToken(ctx context.Context, o *decrypted.Credential, a attempt) error {
	err := a.err
	e, fromProvider := errors.AsType[*oauth.Error](err)
	switch {
	case errors.Is(err, errNotConnected):
		ts.States.ReportToken(ctx, o, a.generation, credentials.NeedsConnect, "not connected yet")
		return o.Failed(credentials.CodeNeedsConnect, err, "credential %q is not connected; open it in the admin page and press Connect", o.ID)
	case errors.Is(err, errNoRefreshToken):
		ts.States.ReportToken(ctx, o, a.generation, credentials.NeedsReconnect, "the token has ended and the provider gave no refresh token")
		return o.Failed(credentials.CodeNeedsConnect, err, "the token of credential %q has ended and the provider gave no refresh token; "+
			"connect it again, and ask the provider for a refresh token (often the scope offline_access)", o.ID)
	case !fromProvider:
		return err
	case e.Kind == oauth.Transient:
		return o.Failed(transientCode(e), err, "no token for credential %q: %s", o.ID, e.Message)
	case e.Kind == oauth.Grant && o.Text("grant_type") == authtype.AuthorizationCode:
		message := e.Message
		if a.interrupted {
			message += "; an earlier renewal was sent and its answer lost, which spends the refresh token at some providers"
		}
		ts.States.ReportToken(ctx, o, a.generation, credentials.NeedsReconnect, message)
		return o.Failed(credentials.CodeNeedsConnect, err, "credential %q must be connected again: %s", o.ID, message)
	default:
		ts.States.ReportToken(ctx, o, a.generation, credentials.Refused, e.Message)
		return o.Failed(credentials.CodeRefused, err, "no token for credential %q: %s", o.ID, e.Message)
	}
}

// attempt is a renewal that failed: of which generation, and whether an earlier one of it was
// begun and its end is not known.
type attempt struct {
	generation  int64
	interrupted bool
	err         error
}

func transientCode(e *oauth.Error) string {
	if sent, ok := egress.AsError(e); ok {
		return sent.Code
	}
	return egress.CodeNetwork
}
