package vault

import (
	"context"
	"fmt"

	"keyflow/credentials"
	"keyflow/credentials/internal/failurerule"
)

// amends are what has been done about refusals of one request.
type amends struct{ renewed, left bool }

// amend does what there is to do when the credential was refused, each once: another token, or
// the former version back. Otherwise the error says that it was refused.
func (t *transport) amend(ctx context.Context, s *sent, v *failurerule.Verdict, done *amends) error {
	if t.draft {
		return t.refused(ctx, s)
	}
	if v.Action == credentials.RuleRenew && s.token != nil && !done.renewed {
		err := t.renew(ctx, s)
		if err == nil {
			done.renewed = true
			return nil
		}
		if done.left || !refusedByProvider(err) || !t.resolver.leave(ctx, s.opened) {
			if v.Repeatable && !t.use.AtMostOnce {
				err = hold(err, t.parks())
			}
			return t.withAnswer(s, err)
		}
	} else if done.left || !t.resolver.leave(ctx, s.opened) {
		return t.refused(ctx, s)
	}
	done.left, done.renewed = true, false
	return nil
}

// refused makes the error of an answer that refuses the credential itself.
func (t *transport) refused(ctx context.Context, s *sent) error {
	o, message := s.opened, s.refusal()
	if !t.draft {
		t.resolver.states.report(ctx, o, credentials.Refused, message)
	}
	return t.withAnswer(s, o.failed(credentials.CodeRefused, nil, "%s; enter a new secret or check its rights there", message))
}

// unrepeated makes the error of a request that was refused with what has been replaced since.
func (t *transport) unrepeated(s *sent, done amends) error {
	what := "its token has been renewed"
	if done.left {
		what = "its former version has come back"
	}
	return t.withAnswer(s, s.opened.failed(credentials.CodeRefused, nil,
		"%s; %s, but this request cannot be repeated safely: run the step again", s.refusal(), what))
}

func (s *sent) refusal() string {
	return fmt.Sprintf("%s refused the credential %q (status %d)", s.res.Request.URL.Host, s.opened.ID, s.res.StatusCode)
}
