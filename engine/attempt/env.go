package attempt

import (
	"context"
	"slices"
	"strconv"
	"time"

	"keyflow/credentials"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/nodes"
)

// findCredential evaluates the node's reference; the resolved id is what counts.
func (s *Attempt) findCredential(ctx context.Context) *nodes.Error {
	if s.Node.Credential == nil {
		return nil
	}
	v, literal := s.Node.Credential.Literal()
	if !literal {
		var err error
		if v, err = s.Node.Credential.Eval(ctx, s.env("credential")); err != nil {
			return values.ExpressionError(ctx, "credential", err)
		}
	}
	id, ok := v.(string)
	if !ok || id == "" {
		return &nodes.Error{Code: nodes.CodeInvalidParam, Message: "credential: must be the id of a credential, not " + plan.TypeName(v)}
	}
	s.credential = credentials.ID(id)
	return nil
}

func (s *Attempt) record(c credentials.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.URL = s.sent.maskText(c.URL)
	s.calls = append(s.calls, c)
}

func (s *Attempt) lastRequest() *runs.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == 0 {
		return nil
	}
	c := &s.calls[len(s.calls)-1]
	return &runs.Request{Method: c.Method, URL: c.URL, Status: c.Status, DurationMS: c.Duration.Milliseconds()}
}

// CredentialCalls returns the calls that used a credential.
func (s *Attempt) CredentialCalls() []credentials.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential == "" {
		return nil
	}
	return s.calls
}

// Eval implements nodes.Env.
func (s *Attempt) Eval(ctx context.Context, name string, vars map[string]any) (any, bool, error) {
	for i := range s.Node.Params {
		p := &s.Node.Params[i]
		if p.Decl.Name != name || p.Expression == nil {
			continue
		}
		extra := make([]any, 0, 2*len(vars))
		for k, v := range vars {
			extra = append(extra, k, v)
		}
		v, err := p.Expression.Eval(ctx, s.env("with/"+name, extra...))
		if err != nil {
			return nil, true, s.hideDetails(values.ExpressionError(ctx, "with."+name, err), "with."+name)
		}
		return v, true, nil
	}
	return nil, false, nil
}

// Has implements nodes.Env.
func (s *Attempt) Has(name string) bool {
	return slices.ContainsFunc(s.Node.Params, func(p plan.Param) bool { return p.Decl.Name == name && p.Expression != nil })
}

// DeliveryID implements nodes.Env.
func (s *Attempt) DeliveryID() string {
	return s.Run.ID.String() + "/" + string(s.Node.ID) + "/" + strconv.Itoa(max(s.Key.Index, 0))
}

// ReadyAt implements nodes.Env.
func (s *Attempt) ReadyAt() time.Time { return s.Ready }

// Attempt implements nodes.Env.
func (s *Attempt) Attempt() int { return s.Number }
