package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/failurerule"
)

// RoundTrip implements http.RoundTripper. It repeats a request only when the upstream did not
// act on it: once with a renewed token, and after each wait that a failure rule asks for.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.roundTrip(req)
	if err != nil {
		if e, ok := errors.AsType[*credentials.Error](err); ok && (!e.Until.IsZero() || e.Hold) {
			return nil, err // nothing was done
		}
		t.usedAs(req.Context(), 0, err)
	}
	t.begun.Store(true)
	return res, err
}

func (t *Transport) roundTrip(req *http.Request) (*http.Response, error) {
	ctx, body := req.Context(), req.Body
	var done recovery
	for {
		s, err := t.send(req, body)
		if err != nil {
			return nil, access.Hold(err, t.parks())
		}
		v := t.judge(ctx, s)
		if v == nil {
			t.accepted(ctx, s)
			if s.credential != nil {
				t.usedAs(ctx, s.res.StatusCode, nil)
			}
			return s.res, nil
		}
		switch v.Action {
		case credentials.RuleQuota:
			return nil, t.exhausted(ctx, s, v)
		case credentials.RuleWait:
			if body, err = t.wait(req, s, v); err != nil {
				return nil, err
			}
			continue
		}
		if err := t.recover(ctx, s, v, &done); err != nil {
			return nil, err
		}
		var again bool
		if body, again = t.again(req, v); !again {
			return nil, t.unrepeated(s, done)
		}
		closeBody(s.res.Body)
	}
}

// judge finds the failure rule that the answer matches; nil is none. A redirect without
// authentication says nothing about the credential.
func (t *Transport) judge(ctx context.Context, s *exchange) *failurerule.Verdict {
	if s.credential == nil {
		return nil
	}
	return s.authenticator.Rules.Match(ctx, s.res)
}

// again returns the body for a repetition, if one is allowed and possible.
func (t *Transport) again(req *http.Request, v *failurerule.Verdict) (io.ReadCloser, bool) {
	if t.Use.AtMostOnce || !v.Repeatable {
		return nil, false
	}
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

// accepted notes that the credential works.
func (t *Transport) accepted(ctx context.Context, s *exchange) {
	if s.credential == nil || t.Draft {
		return
	}
	state := s.credential.State.Status
	if s.res.StatusCode >= http.StatusBadRequest || state != credentials.Untested && state != credentials.Refused && state != credentials.Quota {
		return
	}
	if s.token != nil && t.Resolver.Tokens.Renewals.Failing(s.credential) {
		return // the token still works, but its renewal is refused
	}
	t.Resolver.States.Report(ctx, s.credential, credentials.OK, "")
}
