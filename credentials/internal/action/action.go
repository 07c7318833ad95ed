// Package action does what a workflow asks to be done with a credential itself (test, refresh,
// rotate) and seals the outputs of sensitive nodes.
package action

import (
	"context"
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/probe"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/rotation"
	"keyflow/credentials/token"
	"keyflow/internal/egress"
)

// Actions does what workflows ask to be done with a credential itself.
type Actions struct {
	Gate     *access.Gate
	Reader   *decrypted.Reader
	Prober   *probe.Prober
	Tokens   *token.Tokens
	Rotation *rotation.Rotation
}

// Outputs seals the outputs of sensitive nodes.
type Outputs struct{ Sealer *decrypted.Sealer }

// Act carries out the action of a credential node. The workflow must match allowed_workflows and
// rotatable_by. The result is {ok, status, message} for a test, whose failure is no error;
// {status, expires_at} for a refresh; {version} for a rotation, where the same values again
// change nothing. Errors are *Error, for ActRefresh as those of a request with Use.Park, or a fault of
// the store.
func (ac *Actions) Act(ctx context.Context, use credentials.Use, a credentials.Action) (map[string]any, error) {
	o, err := ac.Gate.OpenFor(ctx, use)
	if err != nil {
		return nil, err
	}
	if !reach.AllowWorkflow(o.RotatableBy, use.Folder, use.Workflow) {
		return nil, o.Failed(credentials.CodeWorkflowNotAllowed, nil, "%s", access.NotRotatable(o.ID, use.Folder, use.Workflow))
	}
	switch a.Name {
	case credentials.ActionTest:
		return ac.actTest(ctx, o)
	case credentials.ActionRefresh:
		return ac.actRefresh(ctx, use, o)
	case credentials.ActionRotate:
		if err := checkSealed(o, a); err != nil {
			return nil, err
		}
		c, err := ac.Rotation.Rotate(ctx, use, a.Fields)
		if err != nil {
			return nil, err
		}
		return map[string]any{"version": c.Version}, nil
	default:
		return nil, o.Failed(egress.CodeInvalidParam, nil, "%.40q cannot be done with a credential", a.Name)
	}
}

func (ac *Actions) actTest(ctx context.Context, o *decrypted.Credential) (map[string]any, error) {
	result, err := ac.Prober.Saved(ctx, o)
	if err != nil {
		return nil, err
	}
	now, err := ac.Reader.Open(ctx, o.ID)
	if err != nil {
		return nil, access.InRun(o.ID, err)
	}
	return map[string]any{"ok": result.OK, "status": string(now.State.Status), "message": result.Message}, nil
}

func (ac *Actions) actRefresh(ctx context.Context, use credentials.Use, o *decrypted.Credential) (map[string]any, error) {
	if !o.AuthType.Renews {
		return nil, o.Failed(egress.CodeInvalidParam, nil, "credential %q has no token to refresh: only oauth2 has", o.ID)
	}
	h, err := ac.Tokens.RenewNow(ctx, o)
	if err != nil {
		return nil, access.Hold(access.InRun(o.ID, err), use.Park)
	}
	now, err := ac.Reader.Open(ctx, o.ID)
	if err != nil {
		return nil, access.InRun(o.ID, err)
	}
	out := map[string]any{"status": string(now.State.Status)}
	if !h.Expiry.IsZero() {
		out["expires_at"] = h.Expiry.UTC().Format(time.RFC3339)
	}
	return out, nil
}

// checkSealed refuses secrets that do not come from a sensitive node: they would stand in the
// definition or in the history of the run.
func checkSealed(o *decrypted.Credential, a credentials.Action) error {
	for _, name := range authtype.SecretNames(o.AuthType, o.Fields, a.Fields) {
		if value, given := a.Fields[name]; given && value != nil && !slices.Contains(a.Sealed, name) {
			return o.Failed(egress.CodeInvalidParam, nil,
				"with.fields.%s: a secret must come from the output of a sensitive node, as \"{{ nodes.ID.output... }}\"", name)
		}
	}
	return nil
}

// SealOutput seals the output of a step, for that step alone. It is no secret of a credential
// and is not kept here.
func (o *Outputs) SealOutput(run, node string, index int, output []byte) ([]byte, error) {
	return o.Sealer.SealOutput(run, node, index, output)
}

// OpenOutput opens what SealOutput made for the same step.
func (o *Outputs) OpenOutput(run, node string, index int, sealed []byte) ([]byte, error) {
	return o.Sealer.OpenOutput(run, node, index, sealed)
}
