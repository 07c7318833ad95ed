package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/oauth"
	"keyflow/internal/egress"
)

// attempt is a renewal that failed: of which generation, and whether an earlier one of it was
// begun and its end is not known.
type attempt struct {
	generation  int64
	interrupted bool
	err         error
}

// refusedToken turns a failed token request into a state of the credential and a step error.
func (ts *Tokens) refusedToken(ctx context.Context, o *opened, a attempt) error {
	err := a.err
	e, fromProvider := errors.AsType[*oauth.Error](err)
	switch {
	case errors.Is(err, errNotConnected):
		ts.states.reportToken(ctx, o, a.generation, credentials.NeedsConnect, "not connected yet")
		return o.failed(credentials.CodeNeedsConnect, err, "credential %q is not connected; open it in the admin page and press Connect", o.ID)
	case errors.Is(err, errNoRefreshToken):
		ts.states.reportToken(ctx, o, a.generation, credentials.NeedsReconnect, "the token has ended and the provider gave no refresh token")
		return o.failed(credentials.CodeNeedsConnect, err, "the token of credential %q has ended and the provider gave no refresh token; "+
			"connect it again, and ask the provider for a refresh token (often the scope offline_access)", o.ID)
	case !fromProvider:
		return err
	case e.Kind == oauth.Transient:
		return o.failed(transientCode(e), err, "no token for credential %q: %s", o.ID, e.Message)
	case e.Kind == oauth.Grant && o.Text("grant_type") == authtype.AuthorizationCode:
		message := e.Message
		if a.interrupted {
			message += "; an earlier renewal was sent and its answer lost, which spends the refresh token at some providers"
		}
		ts.states.reportToken(ctx, o, a.generation, credentials.NeedsReconnect, message)
		return o.failed(credentials.CodeNeedsConnect, err, "credential %q must be connected again: %s", o.ID, message)
	default:
		ts.states.reportToken(ctx, o, a.generation, credentials.Refused, e.Message)
		return o.failed(credentials.CodeRefused, err, "no token for credential %q: %s", o.ID, e.Message)
	}
}

func transientCode(e *oauth.Error) string {
	if sent, ok := egress.AsError(e); ok {
		return sent.Code
	}
	return egress.CodeNetwork
}

// report stores a state; that it cannot be stored does not change the outcome of a request.
func (s *States) report(ctx context.Context, o *opened, status credentials.Status, message string) {
	if err := s.setState(context.WithoutCancel(ctx), o.ID, o, status, message); err != nil {
		s.log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", status, "error", err)
	}
}

// reportToken is report for what a renewal of a generation found: it counts while that is the
// current one.
func (s *States) reportToken(ctx context.Context, o *opened, generation int64, status credentials.Status, message string) {
	if o.State.Status == status && o.State.Message == message {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := s.storeState(o, credentials.State{Status: status, Message: message, Since: credentials.Moment(s.now())}, func(state credentials.State) (bool, error) {
		return s.tokens.FailToken(ctx, o.ID, generation, o.Revision, state)
	})
	if err != nil {
		s.log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", status, "error", err)
	}
}

// reportState is report for a state that holds until a time.
func (s *States) reportState(ctx context.Context, o *opened, state credentials.State) {
	ctx = context.WithoutCancel(ctx)
	err := s.storeState(o, state, func(state credentials.State) (bool, error) { return s.records.SetState(ctx, o.ID, o.Revision, state) })
	if err != nil {
		s.log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", state.Status, "error", err)
	}
}

// failed makes the error of a use of o.
func (o *opened) failed(code string, cause error, format string, args ...any) *credentials.Error {
	return &credentials.Error{Code: code, ID: o.ID, Message: fmt.Sprintf(format, args...), Err: cause}
}

// States stores what uses of credentials find out about them.
type States struct {
	records   credentials.Store
	tokens    credentials.TokenStore
	reader    *Reader
	connected func(id credentials.ID) // a person had to connect the credential, and has
	now       func() time.Time
	log       *slog.Logger
}
