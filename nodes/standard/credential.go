package standard

import (
	"context"
	"time"

	"keyflow/nodes"
)

const actionRotate = "rotate"

func credentialType() nodes.Type {
	return nodes.Type{
		Name:    nodes.TypeCredential,
		Summary: "Tests, refreshes or rotates a credential whose rotatable_by names the workflow.",
		Params: []nodes.Param{
			{Name: "action", Kind: nodes.String, Required: true, Enum: []string{"test", "refresh", actionRotate}, Help: "test: {ok, status, message}; refresh renews the token: {status, expires_at}; rotate: {version}."},
			{Name: "fields", Kind: nodes.Object, Sealed: true, Help: "Of rotate: the new values. They are tested, then promoted; secrets come from outputs of sensitive nodes."},
		},
		Credential: true,
		Acts:       true,
		Timeout:    30 * time.Second,
		Output:     []string{"ok", "status", "message", "expires_at", "version"},
		New:        func() nodes.Node { return credential{} },
	}
}

// credential works on the credential that the node names.
type credential struct{}

var _ nodes.Node = credential{}

// Run implements nodes.Node.
func (credential) Run(ctx context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	action, fields := textOr(in.With, "action", ""), object(in.With, "fields")
	switch {
	case action == actionRotate && len(fields) == 0:
		return nil, invalid("fields", "is required by rotate: the new values")
	case action != actionRotate && fields != nil:
		return nil, invalid("fields", "belongs to rotate alone")
	}
	output, err := env.Act(ctx, action, fields)
	if err != nil {
		return nil, err
	}
	return nodes.Done{Output: output}, nil
}
