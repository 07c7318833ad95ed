package outbound

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/internal/throttle"
	"keyflow/credentials/token"
)

// parks reports whether the caller can give up and come back: it can until something was done.
func (t *Transport) parks() bool { return t.Use.Park && !t.begun.Load() }

// idle notifies the caller that a wait begins.
func (t *Transport) idle() (resume func()) {
	if t.Use.Idle == nil {
		return func() {}
	}
	return t.Use.Idle()
}

// pause waits until a time, or asks the caller to come back then.
func (t *Transport) pause(ctx context.Context, until time.Time, why *credentials.Error) error {
	wait := until.Sub(t.Resolver.Now())
	if wait > throttle.ParkAfter && t.parks() {
		later := *why
		later.Until = until
		return &later
	}
	defer t.idle()()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patiently repeats do when it asks to be repeated later.
func (t *Transport) patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || e.Until.IsZero() {
			return err
		}
		if err := t.pause(ctx, e.Until, e); err != nil {
			return err
		}
	}
}

// renew gets another token than the one that s was sent with. When the configuration changed
// meanwhile, the repetition gets a token by the new one.
func (t *Transport) renew(ctx context.Context, s *exchange) error {
	return t.patiently(ctx, func() error {
		o, err := t.Open(ctx)
		if err != nil || o.Grant != s.credential.Grant {
			return err
		}
		_, err = t.Resolver.Tokens.Renew(ctx, o, s.token.Generation, token.ByRule)
		return err
	})
}

// wait ends the exchange and waits as the rule or the answer says; body is for the repetition.
func (t *Transport) wait(req *http.Request, s *exchange, v *failurerule.Verdict) (body io.ReadCloser, err error) {
	why := s.credential.Failed(credentials.CodeLimit, nil, "%s asked to wait (status %d)", s.res.Request.URL.Host, s.res.StatusCode)
	body, again := t.again(req, v)
	if !again || t.Draft {
		why.Code, why.Message = credentials.CodeQuota, why.Message+", and this request cannot be repeated"
		return nil, t.withAnswer(s, why)
	}
	now := t.Resolver.Now()
	until := v.End(s.res.Header, now)
	until = until.Add(rand.N(max(until.Sub(now)/8, 1))) //nolint:gosec // not all at the same moment
	closeBody(s.res.Body)
	if err := t.pause(req.Context(), until, why); err != nil {
		closeBody(body)
		return nil, err
	}
	return body, nil
}

// exhausted notes that a quota is used up, for all workflows.
func (t *Transport) exhausted(ctx context.Context, s *exchange, v *failurerule.Verdict) error {
	o, host := s.credential, s.res.Request.URL.Host
	until := v.End(s.res.Header, t.Resolver.Now()).UTC().Truncate(time.Microsecond)
	if !t.Draft {
		state := credentials.State{Status: credentials.Quota, Message: host + " says that its quota is used up", Since: credentials.Moment(t.Resolver.Now()), Until: until}
		t.Resolver.States.ReportUntil(ctx, o, state)
	}
	return t.withAnswer(s, o.Failed(credentials.CodeQuota, nil, "%s says that the quota of credential %q is used up; no request is sent with it until %s",
		host, o.ID, until.Format(time.RFC3339)))
}
