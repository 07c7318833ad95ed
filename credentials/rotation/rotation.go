// Package rotation replaces the secrets of a credential without downtime.
//
//	version n ── Stage ──► candidate ── TestCandidate, Promote ──► version n+1
//	version n+1 ── Rollback, or by itself when it is refused (FallBacks) ──► fields of version n
//
// It must not know how requests are sent.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/probe"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Rotation changes the fields of credentials: versions, candidates, rollbacks.
type Rotation struct {
	Editor  *editing.Editor
	Gate    *access.Gate
	Reader  *decrypted.Reader
	Sealer  *decrypted.Sealer
	Prober  *probe.Prober
	Records credentials.Store
	Now     func() time.Time
}

// Versions lists the versions of the fields, newest first.
func (rt *Rotation) Versions(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.VersionInfo, error) {
	record, err := rt.Records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := access.Authorize(caller, identity.View, id, record.Folder); err != nil {
		return nil, err
	}
	return rt.Records.Versions(ctx, id)
}

// Rollback makes a new version with the fields of an earlier one; 0 is the former version,
// within the grace of the credential. It is a Conflict, whose problems say what to narrow, when
// the credential may be sent to hosts now that the earlier secrets were not meant for.
// Errors otherwise: NotFound, Forbidden, Stale when it was changed meanwhile.
func (rt *Rotation) Rollback(ctx context.Context, caller identity.Caller, id credentials.ID, version int) (credentials.Credential, error) {
	before, err := rt.Gate.Managed(ctx, caller, id)
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
	return rt.Editor.Change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := rt.Editor.Still(record, before)
		if err != nil {
			return nil, err
		}
		return rt.Editor.Record(old, o, editing.Author{Name: caller.Name, At: credentials.Moment(rt.Now()), Revision: revision, Origin: credentials.OriginRollback})
	})
}

// choose decides which version to go back to.
func (rt *Rotation) choose(now *decrypted.Current, version int) (int, error) {
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
	if end := now.GraceEnd(); end != nil && rt.Now().After(*end) {
		return 0, fault.New(fault.Conflict, "the grace of credential %q ended at %s: name the version to go back to, for example %d",
			now.ID, end.Format(time.RFC3339), now.Version-1)
	}
	return now.Version - 1, nil
}

// earlier opens an earlier version of the fields under the present rules of the credential.
func (rt *Rotation) earlier(ctx context.Context, now *decrypted.Current, number int) (*decrypted.Credential, error) {
	if now.Broken[""] != nil { // the present rules cannot be trusted
		return nil, decrypted.Damaged(now.ID, now.Broken)
	}
	version, err := rt.Records.Version(ctx, now.ID, number)
	if err != nil {
		return nil, err
	}
	if err := rt.Sealer.BoundVersion(now.ID, version); err != nil {
		return nil, damagedVersion(now.ID, number, err)
	}
	o := now.With(version.Fields, version.Secrets)
	if err := rt.Sealer.OpenFields(o, decrypted.FieldData(now.ID, number, ""), version.Sealed); err != nil {
		return nil, damagedVersion(now.ID, number, err)
	}
	return o, within(o, version.Reach, fmt.Sprintf("version %d", number))
}

// within refuses secrets that could go to hosts now that they were not meant for: who may edit
// could otherwise widen a credential with a secret of his own and then restore the other one.
func within(o *decrypted.Credential, was credentials.Reach, what string) error {
	if len(o.Secret)+len(o.Refs) == 0 {
		return nil
	}
	meant := *o
	meant.AllowedHosts, meant.TestURL, meant.Hosts = was.AllowedHosts, was.TestURL, reach.ParseHosts(was.AllowedHosts)
	var wrong problem.List
	for _, path := range editing.Widenings(&meant, o) {
		wrong.Add(path, problem.WiderReach, what+" was not meant for this: narrow it first, or enter the secret again instead")
	}
	if len(wrong.Items) == 0 {
		return nil
	}
	f := fault.New(fault.Conflict, "%s of credential %q cannot be used: the credential may be sent to more hosts now (%s)", what, o.ID, wrong.Items[0].Path)
	f.Problems = wrong.Items
	return f
}

func damagedVersion(id credentials.ID, number int, err error) error {
	return fault.New(fault.Conflict, "version %d of credential %q is damaged in the database, or from an older release: enter its secret fields again", number, id).
		Because(err)
}

var errReplaced = errors.New("replaced in the meantime")
