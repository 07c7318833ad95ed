package vault

import (
	"context"
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// Actions does what workflows ask to be done with a credential itself.
type Actions struct {
	gate     *Gate
	reader   *Reader
	prober   *Prober
	tokens   *Tokens
	rotation *Rotation
}

// Outputs seals the outputs of sensitive nodes.
type Outputs struct{ sealer *Sealer }

// Act does what a workflow asks, which must match allowed_workflows and rotatable_by, and says
// what came of it: {ok, status, message} of a test, whose failure is no error; {status,
// expires_at} of a refresh; {version} of a rotation, where the same values again change
// nothing. Errors are *Error, for ActRefresh as those of a request with Use.Park, or a fault of
// the store.
func (ac *Actions) Act(ctx context.Context, use credentials.Use, a credentials.Action) (map[string]any, error) {
	o, err := ac.gate.openFor(ctx, use)
	if err != nil {
		return nil, err
	}
	if !reach.AllowWorkflow(o.RotatableBy, use.Folder, use.Workflow) {
		return nil, o.failed(credentials.CodeWorkflowNotAllowed, nil, "%s", notRotatable(o.ID, use.Folder, use.Workflow))
	}
	switch a.Name {
	case credentials.ActionTest:
		return ac.actTest(ctx, o)
	case credentials.ActionRefresh:
		return ac.actRefresh(ctx, use, o)
	case credentials.ActionRotate:
		if err := o.checkSealed(a); err != nil {
			return nil, err
		}
		c, err := ac.rotation.Rotate(ctx, use, a.Fields)
		if err != nil {
			return nil, err
		}
		return map[string]any{"version": c.Version}, nil
	default:
		return nil, o.failed(egress.CodeInvalidParam, nil, "%.40q cannot be done with a credential", a.Name)
	}
}

func (ac *Actions) actTest(ctx context.Context, o *opened) (map[string]any, error) {
	result, err := ac.prober.probe(ctx, o)
	if err != nil {
		return nil, err
	}
	now, err := ac.reader.open(ctx, o.ID)
	if err != nil {
		return nil, inRun(o.ID, err)
	}
	return map[string]any{"ok": result.OK, "status": string(now.State.Status), "message": result.Message}, nil
}

func (ac *Actions) actRefresh(ctx context.Context, use credentials.Use, o *opened) (map[string]any, error) {
	if !o.typ.Renews {
		return nil, o.failed(egress.CodeInvalidParam, nil, "credential %q has no token to refresh: only oauth2 has", o.ID)
	}
	h, err := ac.tokens.renewNow(ctx, o)
	if err != nil {
		return nil, hold(inRun(o.ID, err), use.Park)
	}
	now, err := ac.reader.open(ctx, o.ID)
	if err != nil {
		return nil, inRun(o.ID, err)
	}
	out := map[string]any{"status": string(now.State.Status)}
	if !h.Expiry.IsZero() {
		out["expires_at"] = h.Expiry.UTC().Format(time.RFC3339)
	}
	return out, nil
}

// checkSealed refuses secrets that do not come from a sensitive node: they would stand in the
// definition or in the history of the run.
func (o *opened) checkSealed(a credentials.Action) error {
	for _, name := range authtype.SecretNames(o.typ, o.Fields, a.Fields) {
		if value, given := a.Fields[name]; given && value != nil && !slices.Contains(a.Sealed, name) {
			return o.failed(egress.CodeInvalidParam, nil,
				"with.fields.%s: a secret must come from the output of a sensitive node, as \"{{ nodes.ID.output... }}\"", name)
		}
	}
	return nil
}

// CheckAct is Check for a node that works on the credential itself: it is Forbidden, too, when
// rotatable_by does not name the workflow. It returns the credential's secret fields.
func (ch *Checks) CheckAct(ctx context.Context, id credentials.ID, workflow, folder string) (secrets []string, err error) {
	r, err := ch.checkUse(ctx, id, workflow, folder)
	if err != nil {
		return nil, err
	}
	if !reach.AllowWorkflow(r.RotatableBy, folder, workflow) {
		return nil, fault.New(fault.Forbidden, "%s", notRotatable(id, folder, workflow))
	}
	t := authtype.Named(r.Type)
	if t == nil {
		return nil, nil
	}
	return authtype.SecretNames(t, r.Fields, nil), nil
}

func notRotatable(id credentials.ID, folder, workflow string) string {
	return "credential \"" + string(id) + "\" may not be tested, refreshed or rotated by the workflow \"" + workflow +
		"\" in folder " + folder + "; add it to the credential's rotatable_by"
}

// SealOutput seals the output of a step, for that step alone. It is no secret of a credential
// and is not kept here.
func (o *Outputs) SealOutput(run, node string, index int, output []byte) ([]byte, error) {
	return o.sealer.sealOutput(run, node, index, output)
}

// OpenOutput opens what SealOutput made for the same step.
func (o *Outputs) OpenOutput(run, node string, index int, sealed []byte) ([]byte, error) {
	return o.sealer.openOutput(run, node, index, sealed)
}
