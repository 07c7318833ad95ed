package vault

import (
	"context"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Rotation changes the fields of credentials: versions, candidates, rollbacks.
type Rotation struct {
	editor  *Editor
	gate    *Gate
	reader  *Reader
	sealer  *Sealer
	prober  *Prober
	records credentials.Store
	now     func() time.Time
}

// Versions lists the versions of the fields, newest first.
func (rt *Rotation) Versions(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.VersionInfo, error) {
	record, err := rt.records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := authorize(caller, identity.View, id, record.Folder); err != nil {
		return nil, err
	}
	return rt.records.Versions(ctx, id)
}

// Rollback makes a new version with the fields of an earlier one; 0 is the former version,
// within the grace of the credential. It is a Conflict, whose problems say what to narrow, when
// the credential may be sent to places now that the earlier secrets were not meant for.
// Errors otherwise: NotFound, Forbidden, Stale when it was changed meanwhile.
func (rt *Rotation) Rollback(ctx context.Context, caller identity.Caller, id credentials.ID, version int) (credentials.Credential, error) {
	before, err := rt.gate.managed(ctx, caller, id)
	if err != nil {
		return credentials.Credential{}, err
	}
	if version, err = rt.choose(before, version); err != nil {
		return credentials.Credential{}, err
	}
	o, err := rt.earlier(ctx, before, version)
	if err != nil {
		return credentials.Credential{}, err
	}
	return rt.editor.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := rt.editor.still(record, before)
		if err != nil {
			return nil, err
		}
		return rt.editor.record(old, o, author{caller.Name, credentials.Moment(rt.now()), revision, credentials.OriginRollback})
	})
}

// managed reads a credential that the caller wants to change.
func (g *Gate) managed(ctx context.Context, caller identity.Caller, id credentials.ID) (*stored, error) {
	r, err := g.records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := authorize(caller, identity.ManageCredentials, id, r.Folder); err != nil {
		return nil, err
	}
	return g.reader.readStored(r)
}

// still is the record as it is now, if no edit came in between.
func (ed *Editor) still(now *credentials.Record, before *stored) (*stored, error) {
	if now == nil {
		return nil, credentials.NotFound(before.ID)
	}
	if now.Revision != before.Revision {
		return nil, fault.New(fault.Stale, "credential %q was changed in the meantime: look at it and try again", before.ID)
	}
	return &stored{Record: *now, opened: before.opened, broken: before.broken}, nil
}

// choose settles which version to go back to.
func (rt *Rotation) choose(now *stored, version int) (int, error) {
	switch {
	case version == now.Version:
		return 0, fault.New(fault.Conflict, "version %d of credential %q is the current one: name an earlier one", version, now.ID)
	case version < 0 || version > now.Version:
		return 0, fault.New(fault.NotFound, "credential %q has no version %d; its current one is %d", now.ID, version, now.Version)
	case version > 0:
		return version, nil
	case now.Version == 1:
		return 0, fault.New(fault.Conflict, "credential %q has no earlier version", now.ID)
	}
	if end := now.GraceEnd(); end != nil && rt.now().After(*end) {
		return 0, fault.New(fault.Conflict, "the grace of credential %q ended at %s: name the version to go back to, for example %d",
			now.ID, end.Format(time.RFC3339), now.Version-1)
	}
	return now.Version - 1, nil
}

// earlier opens an earlier version of the fields under the present rules of the credential.
func (rt *Rotation) earlier(ctx context.Context, now *stored, number int) (*opened, error) {
	if now.broken[""] != nil { // the present rules cannot be trusted
		return nil, damaged(now.ID, now.broken)
	}
	version, err := rt.records.Version(ctx, now.ID, number)
	if err != nil {
		return nil, err
	}
	if err := rt.sealer.boundVersion(now.ID, version); err != nil {
		return nil, damagedVersion(now.ID, number, err)
	}
	o := now.with(version.Fields, version.Secrets)
	if err := rt.sealer.openFields(o, fieldPlace(now.ID, number, ""), version.Sealed); err != nil {
		return nil, damagedVersion(now.ID, number, err)
	}
	return o, o.within(version.Reach, fmt.Sprintf("version %d", number))
}

// with is the credential with other fields and no secrets yet.
func (old *stored) with(fields map[string]any, secrets map[string]credentials.SecretInfo) *opened {
	o := &opened{
		Credential: old.Credential, typ: old.opened.typ, Values: authtype.Values{Plain: authtype.Texts(old.opened.typ, fields)}, hosts: reach.ParseHosts(old.AllowedHosts),
		key: old.opened.key, grant: old.Grant,
	}
	o.Fields, o.Secrets = fields, secrets
	return o
}

// within refuses secrets that could go to places now that they were not meant for: who may edit
// could otherwise widen a credential with a secret of his own and then bring the other one back.
func (o *opened) within(was credentials.Reach, what string) error {
	if len(o.Secret)+len(o.Refs) == 0 {
		return nil
	}
	meant := *o
	meant.AllowedHosts, meant.TestURL, meant.hosts = was.AllowedHosts, was.TestURL, reach.ParseHosts(was.AllowedHosts)
	var wrong problem.List
	for _, path := range widenings(&meant, o) {
		wrong.Add(path, problem.WiderReach, what+" was not meant for this: narrow it first, or enter the secret again instead")
	}
	if len(wrong.Items) == 0 {
		return nil
	}
	f := fault.New(fault.Conflict, "%s of credential %q cannot be used: the credential may be sent to more places now (%s)", what, o.ID, wrong.Items[0].Path)
	f.Problems = wrong.Items
	return f
}

func damagedVersion(id credentials.ID, number int, err error) error {
	return fault.New(fault.Conflict, "version %d of credential %q is damaged in the database, or from an older release: enter its secret fields again", number, id).
		Because(err)
}
