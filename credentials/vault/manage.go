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

// Records creates, shows, changes and deletes credentials.
type Records struct {
	editor    *Editor
	viewer    *Viewer
	usage     *UsageLog
	reader    *Reader
	records   credentials.Store
	connected func(id credentials.ID)
	forget    func(id credentials.ID) // drops what is kept in memory of one that is gone
	now       func() time.Time
}

// Create stores a new credential. Errors: Invalid with every problem of in, Conflict when the
// id is taken, Forbidden.
func (rs *Records) Create(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.Credential, error) {
	e := rs.editor.check(caller, in)
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
	return rs.editor.change(ctx, e.in.ID, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			return nil, fault.New(fault.Conflict, "credential %q already exists", e.in.ID)
		}
		return rs.editor.record(nil, o, author{caller.Name, credentials.Moment(rs.now()), revision, credentials.OriginEdit})
	})
}

// Get returns one credential without its secrets.
func (rs *Records) Get(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error) {
	r, err := rs.records.Get(ctx, id)
	if err != nil {
		return credentials.Credential{}, err
	}
	if err := authorize(caller, identity.View, id, r.Folder); err != nil {
		return credentials.Credential{}, err
	}
	return rs.viewer.shown(ctx, r.Credential), nil
}

// List returns the credentials that the caller may see and that match, ordered by id.
// Filter.Limit 0 is 50; over 500 is Invalid.
func (rs *Records) List(ctx context.Context, caller identity.Caller, f credentials.Filter) ([]credentials.Credential, error) {
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
	f.Now = credentials.Moment(rs.now())
	records, err := rs.records.List(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]credentials.Credential, len(records))
	for i, r := range records {
		list[i] = rs.viewer.listed(r)
	}
	if err := rs.usage.countUsers(ctx, list); err != nil {
		return nil, err
	}
	return list, nil
}

// Replace writes all of a credential (PUT): absent secrets keep their value, every other
// absent part gets its default. expect is the revision that the caller saw, or AnyRevision;
// another one is Stale. Errors otherwise as Create and NotFound.
func (rs *Records) Replace(ctx context.Context, caller identity.Caller, id credentials.ID, in credentials.Input, expect int64) (credentials.Credential, error) {
	return rs.edit(ctx, caller, id, expect, func(*stored) (credentials.Input, error) { return in, nil })
}

// Patch changes the parts that are in patch, a JSON merge patch (RFC 7396): lists replace,
// null removes. Errors as Replace, and Malformed when patch is not JSON.
func (rs *Records) Patch(ctx context.Context, caller identity.Caller, id credentials.ID, patch []byte, expect int64) (credentials.Credential, error) {
	return rs.edit(ctx, caller, id, expect, func(old *stored) (credentials.Input, error) { return document.ApplyPatch(old.Credential, patch) })
}

// edit changes an existing credential into the input that next makes of it.
func (rs *Records) edit(ctx context.Context, caller identity.Caller, id credentials.ID, expect int64, next func(old *stored) (credentials.Input, error)) (credentials.Credential, error) {
	return rs.editor.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		if record == nil {
			return nil, credentials.NotFound(id)
		}
		if err := authorize(caller, identity.ManageCredentials, id, record.Folder); err != nil {
			return nil, err
		}
		if expect != credentials.AnyRevision && expect != record.Revision {
			return nil, fault.New(fault.Stale, "credential %q was changed in the meantime: read it again and repeat the edit", id)
		}
		old, err := rs.reader.readStored(*record)
		if err != nil {
			return nil, err
		}
		in, err := next(old)
		if err != nil {
			return nil, err
		}
		o, err := rs.editor.compose(caller, old, in)
		if err != nil {
			return nil, err
		}
		if o.Folder != record.Folder {
			if err := caller.Require(identity.ManageCredentials, o.Folder); err != nil {
				return nil, err
			}
		}
		return rs.editor.record(old, o, author{caller.Name, credentials.Moment(rs.now()), revision, credentials.OriginEdit})
	})
}

// compose checks an input against what is stored and joins both.
func (ed *Editor) compose(caller identity.Caller, old *stored, in credentials.Input) (*opened, error) {
	wrong := settle(old, &in)
	e := ed.check(caller, in)
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

func (rd *Reader) readStored(r credentials.Record) (*stored, error) {
	if err := r.Damaged(); err != nil {
		return nil, err
	}
	o, broken, err := rd.sealer.unseal(r)
	if err != nil {
		return nil, err
	}
	return &stored{Record: r, opened: o, broken: broken}, nil
}

// change runs one edit and drops the cached credential before it returns (promise P1).
func (ed *Editor) change(ctx context.Context, id credentials.ID, fn func(old *credentials.Record, revision int64) (*credentials.Record, error)) (credentials.Credential, error) {
	var before credentials.State
	r, err := ed.records.Change(ctx, id, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			before = old.State
		}
		r, err := fn(old, revision)
		if err == nil {
			err = ed.sealer.bind(r)
		}
		return r, err
	})
	ed.reader.changed(id)
	if err != nil {
		return credentials.Credential{}, err
	}
	if before.NeedsPerson() && !r.State.NeedsPerson() {
		ed.connected(id)
	}
	ed.plan()
	return ed.viewer.shown(ctx, r.Credential), nil
}

// Delete removes a credential with all versions and tokens. While workflows name it, or have
// used it at run time in the last 30 days, that is a Conflict whose problems list them, unless force.
func (rs *Records) Delete(ctx context.Context, caller identity.Caller, id credentials.ID, force bool) error {
	all, err := rs.usage.usagesOf(ctx, id)
	if err != nil {
		return err
	}
	used := rs.usage.blocking(all)
	_, err = rs.records.Change(ctx, id, func(old *credentials.Record, _ int64) (*credentials.Record, error) {
		if old == nil {
			return nil, credentials.NotFound(id)
		}
		if err := authorize(caller, identity.ManageCredentials, id, old.Folder); err != nil {
			return nil, err
		}
		if len(used) > 0 && !force {
			return nil, inUse(id, used)
		}
		old.UpdatedBy, old.UpdatedAt = caller.Name, credentials.Moment(rs.now())
		return nil, nil
	})
	rs.reader.changed(id)
	if err == nil {
		rs.forget(id)
		rs.connected(id) // whoever waits for it learns that it is gone
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
func (ed *Editor) draft(ctx context.Context, caller identity.Caller, in credentials.Input) (*opened, error) {
	record, err := ed.records.Get(ctx, in.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	known := err == nil && caller.May(identity.View, record.Folder)
	if !known {
		if in.ID == "" {
			in.ID = "unsaved"
		}
		e := ed.check(caller, in)
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
	old, err := ed.reader.readStored(record)
	if err != nil {
		return nil, err
	}
	o, err := ed.compose(caller, old, in)
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

// Check reports whether a workflow may name the credential: NotFound when it does not exist,
// Forbidden when allowed_workflows does not list the workflow.
func (ch *Checks) Check(ctx context.Context, id credentials.ID, workflow, folder string) error {
	_, err := ch.checkUse(ctx, id, workflow, folder)
	return err
}

// RequireUse is Forbidden when the credential exists and the caller may not use credentials in
// its folder. An unknown one is nobody's secret: nil.
func (ch *Checks) RequireUse(ctx context.Context, caller identity.Caller, id credentials.ID) error {
	r, err := ch.records.Get(ctx, id)
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
func (ch *Checks) CheckInbound(ctx context.Context, id credentials.ID, workflow, folder string) error {
	r, err := ch.checkUse(ctx, id, workflow, folder)
	if err != nil {
		return err
	}
	if t := authtype.Named(r.Type); t == nil || t.Verify == nil {
		return fault.Problems(fmt.Sprintf("credential %q cannot verify webhooks", id), []fault.Problem{{
			Code: problem.NotSupported, Message: authtype.CannotVerify(id, r.Type),
		}})
	}
	if r.Type != credentials.TypeBasicAuth || r.Secrets["password"].Set {
		return nil
	}
	return fault.Problems(fmt.Sprintf("credential %q cannot verify webhooks", id), []fault.Problem{{Code: problem.SecretRequired, Message: noSecret(id)}})
}

func (ch *Checks) checkUse(ctx context.Context, id credentials.ID, workflow, folder string) (credentials.Record, error) {
	r, err := ch.records.Get(ctx, id)
	if err != nil {
		return r, err
	}
	if patterns := complete(r.Credential).AllowedWorkflows; !reach.AllowWorkflow(patterns, folder, workflow) {
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
