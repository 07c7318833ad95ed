package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

const (
	defaultPage = 50
	maxPage     = 500

	maxUsedProblems = 100 // how many usages a refused delete tells one by one
)

// Create stores a new credential. Errors: Invalid with every problem of in, Conflict when the
// id is taken, Forbidden.
func (v *Vault) Create(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.Credential, error) {
	e := v.check(caller, in)
	if err := caller.Require(identity.ManageCredentials, e.in.Folder); err != nil {
		return credentials.Credential{}, err
	}
	var o *opened
	if e.typ != nil {
		o = e.merge(nil)
	}
	if err := e.Err(); err != nil {
		return credentials.Credential{}, err
	}
	return v.change(ctx, e.in.ID, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			return nil, fault.New(fault.Conflict, "credential %q already exists", e.in.ID)
		}
		return v.record(nil, o, author{caller.Name, v.moment(), revision, credentials.OriginEdit})
	})
}

// Get returns one credential without its secrets.
func (v *Vault) Get(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error) {
	r, err := v.store.Get(ctx, id)
	if err != nil {
		return credentials.Credential{}, err
	}
	if err := authorize(caller, identity.View, id, r.Folder); err != nil {
		return credentials.Credential{}, err
	}
	return v.shown(ctx, r.Credential), nil
}

// List returns the credentials that the caller may see and that match, ordered by id.
// Filter.Limit 0 is 50; over 500 is Invalid.
func (v *Vault) List(ctx context.Context, caller identity.Caller, f credentials.Filter) ([]credentials.Credential, error) {
	if f.Folder == "" {
		f.Folder = caller.Folder
	}
	if err := caller.Require(identity.View, f.Folder); err != nil {
		return nil, err
	}
	switch {
	case f.Limit == 0:
		f.Limit = defaultPage
	case f.Limit < 0 || f.Limit > maxPage:
		return nil, fault.Problems("limit is out of range", []fault.Problem{{
			Path: "/limit", Code: problem.InvalidValue, Message: fmt.Sprintf("must be 1 to %d", maxPage),
		}})
	}
	f.Now = v.moment()
	records, err := v.store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]credentials.Credential, len(records))
	for i, r := range records {
		list[i] = v.listed(r)
	}
	if err := v.countUsers(ctx, list); err != nil {
		return nil, err
	}
	return list, nil
}

// Replace writes all of a credential (PUT): absent secrets keep their value, every other
// absent part gets its default. expect is the revision that the caller saw, or AnyRevision;
// another one is Stale. Errors otherwise as Create and NotFound.
func (v *Vault) Replace(ctx context.Context, caller identity.Caller, id credentials.ID, in credentials.Input, expect int64) (credentials.Credential, error) {
	return v.edit(ctx, caller, id, expect, func(*stored) (credentials.Input, error) { return in, nil })
}

// Patch changes the parts that are in patch, a JSON merge patch (RFC 7396): lists replace,
// null removes. Errors as Replace, and Malformed when patch is not JSON.
func (v *Vault) Patch(ctx context.Context, caller identity.Caller, id credentials.ID, patch []byte, expect int64) (credentials.Credential, error) {
	return v.edit(ctx, caller, id, expect, func(old *stored) (credentials.Input, error) { return document.ApplyPatch(old.Credential, patch) })
}

// edit changes an existing credential into the input that next makes of it.
func (v *Vault) edit(ctx context.Context, caller identity.Caller, id credentials.ID, expect int64, next func(old *stored) (credentials.Input, error)) (credentials.Credential, error) {
	return v.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		if record == nil {
			return nil, credentials.NotFound(id)
		}
		if err := authorize(caller, identity.ManageCredentials, id, record.Folder); err != nil {
			return nil, err
		}
		if expect != credentials.AnyRevision && expect != record.Revision {
			return nil, fault.New(fault.Stale, "credential %q was changed in the meantime: read it again and repeat the edit", id)
		}
		old, err := v.readStored(*record)
		if err != nil {
			return nil, err
		}
		in, err := next(old)
		if err != nil {
			return nil, err
		}
		o, err := v.compose(caller, old, in)
		if err != nil {
			return nil, err
		}
		if o.Folder != record.Folder {
			if err := caller.Require(identity.ManageCredentials, o.Folder); err != nil {
				return nil, err
			}
		}
		return v.record(old, o, author{caller.Name, v.moment(), revision, credentials.OriginEdit})
	})
}

// compose checks an input against what is stored and joins both.
func (v *Vault) compose(caller identity.Caller, old *stored, in credentials.Input) (*opened, error) {
	wrong := settle(old, &in)
	e := v.check(caller, in)
	e.Items = append(wrong.Items, e.Items...)
	o := e.merge(old)
	return o, e.Err()
}

// settle fills in id and type of an edit; a change of them is a problem.
func settle(old *stored, in *credentials.Input) (wrong problem.List) {
	if in.ID != "" && in.ID != old.ID {
		wrong.Add("/id", problem.Immutable, fmt.Sprintf("cannot change: workflows name %q; create another credential instead", old.ID))
	}
	if in.Type != "" && in.Type != old.Type {
		wrong.Add("/type", problem.Immutable, fmt.Sprintf("cannot change from %s; create another credential instead", old.Type))
	}
	in.ID, in.Type = old.ID, old.Type
	return wrong
}

func (v *Vault) readStored(r credentials.Record) (*stored, error) {
	if err := r.Damaged(); err != nil {
		return nil, err
	}
	o, broken, err := v.unseal(r)
	if err != nil {
		return nil, err
	}
	return &stored{Record: r, opened: o, broken: broken}, nil
}

// change runs one edit and drops the cached credential before it returns (promise P1).
func (v *Vault) change(ctx context.Context, id credentials.ID, fn func(old *credentials.Record, revision int64) (*credentials.Record, error)) (credentials.Credential, error) {
	var before credentials.State
	r, err := v.store.Change(ctx, id, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			before = old.State
		}
		r, err := fn(old, revision)
		if err == nil {
			err = v.bind(r)
		}
		return r, err
	})
	v.cache.changed(id, nil)
	if err != nil {
		return credentials.Credential{}, err
	}
	if before.NeedsPerson() && !r.State.NeedsPerson() {
		v.connected(id)
	}
	v.plan()
	return v.shown(ctx, r.Credential), nil
}

// Delete removes a credential with all versions and tokens. While workflows name it, or have
// used it at run time in the last 30 days, that is a Conflict whose problems list them, unless force.
func (v *Vault) Delete(ctx context.Context, caller identity.Caller, id credentials.ID, force bool) error {
	all, err := v.usagesOf(ctx, id)
	if err != nil {
		return err
	}
	used := v.blocking(all)
	_, err = v.store.Change(ctx, id, func(old *credentials.Record, _ int64) (*credentials.Record, error) {
		if old == nil {
			return nil, credentials.NotFound(id)
		}
		if err := authorize(caller, identity.ManageCredentials, id, old.Folder); err != nil {
			return nil, err
		}
		if len(used) > 0 && !force {
			return nil, inUse(id, used)
		}
		old.UpdatedBy, old.UpdatedAt = caller.Name, v.moment()
		return nil, nil
	})
	v.cache.changed(id, nil)
	if err == nil {
		v.seen.forget(id)
		v.uses.forget(id)
		v.renewals.forget(id)
		v.kits.forget(id)
		v.identities.forget(id)
		v.connected(id) // whoever waits for it is told that it is gone
		v.fallBacks.forget(id)
	}
	return err
}

func inUse(id credentials.ID, used []credentials.Usage) error {
	f := fault.New(fault.Conflict, "credential %q is used by %d nodes or triggers: change them first, or delete with force", id, len(used))
	if len(used) == 1 {
		f.Message = fmt.Sprintf("credential %q is used by a node or trigger: change it first, or delete with force", id)
	}
	for _, u := range used[:min(len(used), maxUsedProblems)] {
		f.Problems = append(f.Problems, usedProblem(u))
	}
	if more := len(used) - maxUsedProblems; more > 0 {
		f.Problems = append(f.Problems, fault.Problem{Code: problem.More, Message: fmt.Sprintf("and %d more; the usages of the credential list them all", more)})
	}
	return f
}

// draft opens values that are not saved, for tests. Secrets that in leaves out come from the
// stored credential of the same id, unless the draft could send them somewhere new.
func (v *Vault) draft(ctx context.Context, caller identity.Caller, in credentials.Input) (*opened, error) {
	record, err := v.store.Get(ctx, in.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	known := err == nil && caller.May(identity.View, record.Folder)
	if !known {
		if in.ID == "" {
			in.ID = "unsaved"
		}
		e := v.check(caller, in)
		if err := caller.Require(identity.ManageCredentials, e.in.Folder); err != nil {
			return nil, err
		}
		if e.typ == nil {
			return nil, e.Err()
		}
		return finish(e.merge(nil), &e.List)
	}
	if err := caller.Require(identity.ManageCredentials, record.Folder); err != nil {
		return nil, err
	}
	old, err := v.readStored(record)
	if err != nil {
		return nil, err
	}
	o, err := v.compose(caller, old, in)
	if err != nil {
		return nil, err
	}
	return finish(o, &problem.List{})
}

// finish gives an unsaved credential what a saved one has.
func finish(o *opened, p *problem.List) (*opened, error) {
	o.key = newFingerprintKey()
	if o.AllowedWorkflows == nil {
		o.AllowedWorkflows = reach.OwnFolder(o.Folder)
	}
	return o, p.Err()
}

// moment is now as the store keeps it.
func (v *Vault) moment() time.Time { return v.now().UTC().Truncate(time.Microsecond) }

// Check reports whether a workflow may name the credential: NotFound when it does not exist,
// Forbidden when allowed_workflows does not list the workflow.
func (v *Vault) Check(ctx context.Context, id credentials.ID, workflow, folder string) error {
	_, err := v.checkUse(ctx, id, workflow, folder)
	return err
}

// RequireUse is Forbidden when the credential exists and the caller may not use credentials in
// its folder. An unknown one is nobody's secret: nil.
func (v *Vault) RequireUse(ctx context.Context, caller identity.Caller, id credentials.ID) error {
	r, err := v.store.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || caller.May(identity.UseCredentials, r.Folder) {
		return err
	}
	return fault.New(fault.Forbidden, "%s may not use the credential %q", caller.Name, id)
}

// CheckInbound is Check for the credential of an inbound webhook; Invalid when it cannot
// verify requests.
func (v *Vault) CheckInbound(ctx context.Context, id credentials.ID, workflow, folder string) error {
	r, err := v.checkUse(ctx, id, workflow, folder)
	if err != nil {
		return err
	}
	if t := v.types[r.Type]; t == nil || t.Verify == nil {
		return fault.Problems(fmt.Sprintf("credential %q cannot verify webhooks", id), []fault.Problem{{
			Code: problem.NotSupported, Message: authtype.CannotVerify(id, r.Type),
		}})
	}
	if r.Type != credentials.TypeBasicAuth || r.Secrets["password"].Set {
		return nil
	}
	return fault.Problems(fmt.Sprintf("credential %q cannot verify webhooks", id), []fault.Problem{{Code: problem.SecretRequired, Message: noSecret(id)}})
}

func (v *Vault) checkUse(ctx context.Context, id credentials.ID, workflow, folder string) (credentials.Record, error) {
	r, err := v.store.Get(ctx, id)
	if err != nil {
		return r, err
	}
	if patterns := v.view(r.Credential).AllowedWorkflows; !reach.AllowWorkflow(patterns, folder, workflow) {
		return r, fault.New(fault.Forbidden, "credential %q may not be used by %s: its allowed_workflows are %s",
			id, strings.TrimSuffix(folder, "/")+"/"+workflow, listOf(patterns))
	}
	return r, nil
}

func listOf(patterns []string) string {
	if len(patterns) == 0 {
		return "none"
	}
	return strings.Join(patterns, ", ")
}
