package credentials

import (
	"context"
	"maps"
	"slices"
	"time"

	"keyflow/credentials/internal/reach"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// What a workflow can do with a credential whose rotatable_by names it.
const (
	ActTest    = "test"
	ActRefresh = "refresh"
	ActRotate  = "rotate"
)

// Action is what a workflow wants done with a credential itself.
type Action struct {
	Name   string         // ActTest, ActRefresh, ActRotate
	Fields map[string]any // of ActRotate: the new values
	// Sealed are the fields whose values come from outputs of sensitive nodes alone: others can
	// hold no secret.
	Sealed []string
}

// Act does what a workflow asks, which must match allowed_workflows and rotatable_by, and says
// what came of it: {ok, status, message} of a test, whose failure is no error; {status,
// expires_at} of a refresh; {version} of a rotation, where the same values again change
// nothing. Errors are *Error, for ActRefresh as those of a request with Use.Park, or a fault of
// the store.
func (v *Vault) Act(ctx context.Context, use Use, a Action) (map[string]any, error) {
	o, err := v.openFor(ctx, use)
	if err != nil {
		return nil, err
	}
	if !reach.AllowWorkflow(o.RotatableBy, use.Folder, use.Workflow) {
		return nil, o.failed(CodeWorkflowNotAllowed, nil, "%s", notRotatable(o.ID, use.Folder, use.Workflow))
	}
	switch a.Name {
	case ActTest:
		return v.actTest(ctx, o)
	case ActRefresh:
		return v.actRefresh(ctx, use, o)
	case ActRotate:
		if err := o.checkSealed(a); err != nil {
			return nil, err
		}
		c, err := v.Rotate(ctx, use, a.Fields)
		if err != nil {
			return nil, err
		}
		return map[string]any{"version": c.Version}, nil
	default:
		return nil, o.failed(egress.CodeInvalidParam, nil, "%.40q cannot be done with a credential", a.Name)
	}
}

func (v *Vault) actTest(ctx context.Context, o *opened) (map[string]any, error) {
	t := &test{vault: v, opened: o}
	t.run(ctx)
	now, err := v.open(ctx, o.ID)
	if err != nil {
		return nil, inRun(o.ID, err)
	}
	return map[string]any{"ok": t.result.OK, "status": string(now.State.Status), "message": t.result.Message}, nil
}

func (v *Vault) actRefresh(ctx context.Context, use Use, o *opened) (map[string]any, error) {
	if !o.typ.renews {
		return nil, o.failed(egress.CodeInvalidParam, nil, "credential %q has no token to refresh: only oauth2 has", o.ID)
	}
	h, err := v.renewNow(ctx, o)
	if err != nil {
		return nil, (&transport{use: use}).held(inRun(o.ID, err))
	}
	now, err := v.open(ctx, o.ID)
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
func (o *opened) checkSealed(a Action) error {
	for _, name := range secretNames(o.typ, o.Fields, a.Fields) {
		if value, given := a.Fields[name]; given && value != nil && !slices.Contains(a.Sealed, name) {
			return o.failed(egress.CodeInvalidParam, nil,
				"with.fields.%s: a secret must come from the output of a sensitive node, as \"{{ nodes.ID.output... }}\"", name)
		}
	}
	return nil
}

// secretNames are the fields of the type that are secret when given values are put over
// present ones.
func secretNames(t *Type, present, given map[string]any) []string {
	fields := maps.Clone(present)
	if fields == nil {
		fields = make(map[string]any, len(given))
	}
	maps.Copy(fields, given)
	var names []string
	for i := range t.Fields {
		if t.Fields[i].secretIn(fields) {
			names = append(names, t.Fields[i].Name)
		}
	}
	return names
}

// CheckAct is Check for a node that works on the credential itself: it is Forbidden, too, when
// rotatable_by does not name the workflow. It returns the credential's secret fields.
func (v *Vault) CheckAct(ctx context.Context, id ID, workflow, folder string) (secrets []string, err error) {
	r, err := v.checkUse(ctx, id, workflow, folder)
	if err != nil {
		return nil, err
	}
	if !reach.AllowWorkflow(r.RotatableBy, folder, workflow) {
		return nil, fault.New(fault.Forbidden, "%s", notRotatable(id, folder, workflow))
	}
	t := v.types[r.Type]
	if t == nil {
		return nil, nil
	}
	return secretNames(t, r.Fields, nil), nil
}

func notRotatable(id ID, folder, workflow string) string {
	return "credential \"" + string(id) + "\" may not be tested, refreshed or rotated by the workflow \"" + workflow +
		"\" in folder " + folder + "; add it to the credential's rotatable_by"
}

// SealOutput seals the output of a step, for that step alone. It is no secret of a credential
// and is not kept here.
func (v *Vault) SealOutput(run, node string, index int, output []byte) ([]byte, error) {
	return v.keys.Seal(outputPlace(run, node, index), output)
}

// OpenOutput opens what SealOutput made for the same step.
func (v *Vault) OpenOutput(run, node string, index int, sealed []byte) ([]byte, error) {
	return v.keys.Open(outputPlace(run, node, index), sealed)
}
