package outbound

import (
	"context"
	"errors"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/internal/egress"
)

// record adds one request to the run history, and notes the use of the credential.
func (t *Transport) record(req *http.Request, s *exchange, took time.Duration) {
	if s.credential != nil && !t.Draft {
		t.Resolver.Usage.Touch(s.credential.ID, t.Resolver.Now())
	}
	if t.Use.Record == nil {
		return
	}
	call := credentials.Call{Host: req.URL.Host, Method: req.Method, URL: req.URL.String(), Duration: took}
	if s.authenticator.redactor != nil {
		call.URL = s.authenticator.redactor.String(call.URL)
	}
	if s.credential != nil {
		call.Credential, call.Version, call.Fingerprint = s.credential.ID, s.credential.Version, s.credential.MainFingerprint()
	}
	if s.res != nil {
		call.Status = s.res.StatusCode
	}
	t.Use.Record(call)
}

// usedAs notes how a request of a workflow ended. It does not block.
func (t *Transport) usedAs(ctx context.Context, status int, err error) {
	if t.Draft || t.Use.Workflow == "" {
		return
	}
	use := credentials.Seen{
		Credential: t.Use.ID, Workflow: t.Use.Workflow, Node: t.Use.Node,
		At: credentials.Moment(t.Resolver.Now()), Status: status,
	}
	if err != nil {
		var known bool
		if use.Status, use.Error, known = failedUse(ctx, err); !known {
			return
		}
	}
	t.Resolver.Usage.Note(use)
}

// failedUse classifies a failure. One that says that the credential is not there for the
// workflow is no use of it; nor is one whose step was interrupted.
func failedUse(ctx context.Context, err error) (status int, code string, use bool) {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		if e.Answer != nil {
			status = e.Answer.Status
		}
		return status, e.Code, e.Code != credentials.CodeUnknown && e.Code != credentials.CodeWorkflowNotAllowed
	}
	if e, ok := egress.AsError(err); ok {
		return 0, e.Code, ctx.Err() == nil || e.Timeout
	}
	return 0, "", false
}
