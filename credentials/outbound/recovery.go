package outbound

import (
	"context"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/token"
)

// recovery are what has been done about refusals of one request.
type recovery struct{ renewed, fellBack bool }

// recover does what there is to do when the credential was refused, each once: another token, or
// the former version back. Otherwise the error says that it was refused.
func (t *Transport) recover(ctx context.Context, s *exchange, v *failurerule.Verdict, done *recovery) error {
	if t.Draft {
		return t.refused(ctx, s)
	}
	if v.Action == credentials.RuleRenew && s.token != nil && !done.renewed {
		err := t.renew(ctx, s)
		if err == nil {
			done.renewed = true
			return nil
		}
		if done.fellBack || !token.RefusedByProvider(err) || !t.Resolver.FallBack(ctx, s.credential) {
			if v.Repeatable && !t.Use.AtMostOnce {
				err = access.Hold(err, t.parks())
			}
			return t.withAnswer(s, err)
		}
	} else if done.fellBack || !t.Resolver.FallBack(ctx, s.credential) {
		return t.refused(ctx, s)
	}
	done.fellBack, done.renewed = true, false
	return nil
}

// unrepeated makes the error of a request that was refused with what has been replaced since.
func (t *Transport) unrepeated(s *exchange, done recovery) error {
	what := "its token has been renewed"
	if done.fellBack {
		what = "its former version has come back"
	}
	return t.withAnswer(s, s.credential.Failed(credentials.CodeRefused, nil,
		"%s; %s, but this request cannot be repeated safely: run the step again", s.refusal(), what))
}
