// Package management creates, shows, changes and deletes credentials on behalf of people and
// programs. Every operation takes the caller and authorizes in the same function.
package management

import (
	"context"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/view"
	"keyflow/credentials/usage"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

const (
	defaultPage = 50
	maxPage     = 500

	maxUsedProblems = 100 // how many usages a refused delete lists
)

// Records creates, shows, changes and deletes credentials.
type Records struct {
	Editor    *editing.Editor
	Viewer    *view.Viewer
	Usage     *usage.Log
	Reader    *decrypted.Reader
	Records   credentials.Store
	Connected func(id credentials.ID)
	Forget    func(id credentials.ID) // drops what is kept in memory of one that is gone
	Now       func() time.Time
}

// Create stores a new credential. Errors: Invalid with every problem of in, Conflict when the
// id is taken, Forbidden.
func (rs *Records) Create(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.Credential, error) {
	e := rs.Editor.Check(caller, in)
	if err := caller.Require(identity.ManageCredentials, e.In.Folder); err != nil {
		return credentials.Credential{}, err
	}
	var o *decrypted.Credential
	if e.Typ != nil {
		o = e.Merge(nil)
	}
	if err := e.Err(); err != nil {
		return credentials.Credential{}, err
	}
	return rs.Editor.Change(ctx, e.In.ID, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			return nil, fault.New(fault.Conflict, "credential %q already exists", e.In.ID)
		}
		return rs.Editor.Record(nil, o, editing.Author{Name: caller.Name, At: credentials.Moment(rs.Now()), Revision: revision, Origin: credentials.OriginEdit})
	})
}

// Get returns one credential without its secrets.
func (rs *Records) Get(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error) {
	r, err := rs.Records.Get(ctx, id)
	if err != nil {
		return credentials.Credential{}, err
	}
	if err := access.Authorize(caller, identity.View, id, r.Folder); err != nil {
		return credentials.Credential{}, err
	}
	return rs.Viewer.Shown(ctx, r.Credential), nil
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
	f.Now = credentials.Moment(rs.Now())
	records, err := rs.Records.List(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]credentials.Credential, len(records))
	for i, r := range records {
		list[i] = rs.Viewer.Listed(r)
	}
	if err := rs.Usage.CountUsers(ctx, list); err != nil {
		return nil, err
	}
	return list, nil
}

// Replace writes all of a credential (PUT): absent secrets keep their value, every other
// absent part gets its default. expect is the revision that the caller saw, or AnyRevision;
// another one is Stale. Errors otherwise as Create and NotFound.
func (rs *Records) Replace(ctx context.Context, caller identity.Caller, id credentials.ID, in credentials.Input, expect int64) (credentials.Credential, error) {
	return rs.edit(ctx, caller, id, expect, func(*decrypted.Current) (credentials.Input, error) { return in, nil })
}

// Patch changes the parts that are in patch, a JSON merge patch (RFC 7396): lists replace,
// null removes. Errors as Replace, and Malformed when patch is not JSON.
func (rs *Records) Patch(ctx context.Context, caller identity.Caller, id credentials.ID, patch []byte, expect int64) (credentials.Credential, error) {
	return rs.edit(ctx, caller, id, expect, func(old *decrypted.Current) (credentials.Input, error) {
		return document.ApplyPatch(old.Credential, patch)
	})
}

// edit changes an existing credential into the input that next makes of it.
func (rs *Records) edit(ctx context.Context, caller identity.Caller, id credentials.ID, expect int64, next func(old *decrypted.Current) (credentials.Input, error)) (credentials.Credential, error) {
	return rs.Editor.Change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		if record == nil {
			return nil, credentials.NotFound(id)
		}
		if err := access.Authorize(caller, identity.ManageCredentials, id, record.Folder); err != nil {
			return nil, err
		}
		if expect != credentials.AnyRevision && expect != record.Revision {
			return nil, fault.New(fault.Stale, "credential %q was changed in the meantime: read it again and repeat the edit", id)
		}
		old, err := rs.Reader.Current(*record)
		if err != nil {
			return nil, err
		}
		in, err := next(old)
		if err != nil {
			return nil, err
		}
		o, err := rs.Editor.Compose(caller, old, in)
		if err != nil {
			return nil, err
		}
		if o.Folder != record.Folder {
			if err := caller.Require(identity.ManageCredentials, o.Folder); err != nil {
				return nil, err
			}
		}
		return rs.Editor.Record(old, o, editing.Author{Name: caller.Name, At: credentials.Moment(rs.Now()), Revision: revision, Origin: credentials.OriginEdit})
	})
}

// Delete removes a credential with all versions and tokens. While workflows name it, or have used
// it at run time in the last 30 days, that is a Conflict whose problems list them, unless force.
func (rs *Records) Delete(ctx context.Context, caller identity.Caller, id credentials.ID, force bool) error {
	all, err := rs.Usage.UsagesOf(ctx, id)
	if err != nil {
		return err
	}
	used := rs.Usage.Blocking(all)
	_, err = rs.Records.Change(ctx, id, func(old *credentials.Record, _ int64) (*credentials.Record, error) {
		if old == nil {
			return nil, credentials.NotFound(id)
		}
		if err := access.Authorize(caller, identity.ManageCredentials, id, old.Folder); err != nil {
			return nil, err
		}
		if len(used) > 0 && !force {
			return nil, inUse(id, used)
		}
		old.UpdatedBy, old.UpdatedAt = caller.Name, credentials.Moment(rs.Now())
		return nil, nil
	})
	rs.Reader.Changed(id)
	if err == nil {
		rs.Forget(id)
		rs.Connected(id) // whoever waits for it learns that it is gone
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

// usedProblem describes one usage that keeps a credential.
func usedProblem(u credentials.Usage) fault.Problem {
	switch p := (fault.Problem{Code: problem.InUse}); {
	case !u.Literal:
		p.Path = problem.Pointer("workflows", u.Workflow, "nodes", u.Node)
		p.Message = fmt.Sprintf("node %q of workflow %q used it at run time, last at %s", u.Node, u.Workflow, u.LastUsedAt.UTC().Format(time.RFC3339))
		return p
	case u.Node != "":
		p.Path = problem.Pointer("workflows", u.Workflow, "nodes", u.Node)
		p.Message = fmt.Sprintf("node %q of workflow %q uses it", u.Node, u.Workflow)
		return p
	case u.Trigger != "":
		p.Path = problem.Pointer("workflows", u.Workflow, "triggers", u.Trigger)
		p.Message = fmt.Sprintf("trigger %q of workflow %q uses it", u.Trigger, u.Workflow)
		return p
	default:
		p.Path = problem.Pointer("workflows", u.Workflow)
		p.Message = fmt.Sprintf("workflow %q uses it", u.Workflow)
		return p
	}
}
