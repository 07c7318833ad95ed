package web

import (
	"context"
	"net/http"
	"net/url"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/presets"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/session"
)

// CredentialPath is the input of operations on one credential.
type CredentialPath struct {
	ID credentials.ID `path:"id"`
}

type credentialList struct {
	Paging
	Folder string             `query:"folder" doc:"This folder and below."`
	Type   string             `query:"type"`
	State  credentials.Status `query:"state" enum:"ok,untested,needs_connect,needs_reconnect,refused,quota,expiring,expired"`
	// Attention and Unused narrow further.
	Attention bool   `query:"attention" doc:"Only those that need a person or expire within 30 days."`
	Unused    bool   `query:"unused" doc:"Only those that no workflow has used for 90 days."`
	Q         string `query:"q" maxLength:"200" doc:"Part of the id or the name."`
}

type credentialWrite struct {
	CredentialPath
	Matching
	JSONBody
}

type credentialDelete struct {
	CredentialPath
	Matching
	Force bool `query:"force" doc:"Delete although workflows use it."`
}

type connectView struct {
	AuthorizationURL string `json:"authorization_url" doc:"Where to send the person."`
}

type credentialTypeView struct {
	ID      credentials.TypeName `json:"id"`
	Name    string               `json:"name"`
	Summary string               `json:"summary"`
	Fields  []authtype.Field     `json:"fields" nullable:"false"`
}

func (s *server) listCredentials(ctx context.Context, who session.Who, in *credentialList) (*answer[page[credentials.Credential]], error) {
	list, err := s.credentials.List(ctx, who.Caller, credentials.Filter{
		Folder: in.Folder, Type: credentials.TypeName(in.Type), Status: in.State, Query: in.Q,
		Attention: in.Attention, Unused: in.Unused,
		After: credentials.ID(in.Cursor), Limit: in.fetch(),
	})
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, viewCredential, func(c credentials.Credential) string { return string(c.ID) }), nil
}

func (s *server) createCredential(ctx context.Context, who session.Who, in *JSONBody) (*answer[credentials.Credential], error) {
	input, err := decode[credentials.Input](in.RawBody, document.ReadOnly()...)
	if err != nil {
		return nil, err
	}
	c, err := s.credentials.Create(ctx, who.Caller, input)
	if err != nil {
		return nil, err
	}
	out := credentialAnswer(c)
	out.Status, out.Location = http.StatusCreated, v1+"/credentials/"+url.PathEscape(string(c.ID))
	return out, nil
}

func (s *server) getCredential(ctx context.Context, who session.Who, in *CredentialPath) (*answer[credentials.Credential], error) {
	c, err := s.credentials.Get(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) replaceCredential(ctx context.Context, who session.Who, in *credentialWrite) (*answer[credentials.Credential], error) {
	expect, err := in.revision()
	if err != nil {
		return nil, err
	}
	input, err := decode[credentials.Input](in.RawBody, document.ReadOnly()...)
	if err != nil {
		return nil, err
	}
	c, err := s.credentials.Replace(ctx, who.Caller, in.ID, input, expect)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) patchCredential(ctx context.Context, who session.Who, in *credentialWrite) (*answer[credentials.Credential], error) {
	expect, err := in.revision()
	if err != nil {
		return nil, err
	}
	// The vault applies the patch; here only its shape is checked, which is that of an input.
	if _, err := decode[credentials.Input](in.RawBody, document.ReadOnly()...); err != nil {
		return nil, err
	}
	c, err := s.credentials.Patch(ctx, who.Caller, in.ID, in.copied(), expect)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (s *server) deleteCredential(ctx context.Context, who session.Who, in *credentialDelete) (*empty, error) {
	if expect, err := in.revision(); err != nil || expect >= 0 {
		if err == nil {
			err = s.requireRevision(ctx, who.Caller, in.ID, expect)
		}
		if err != nil {
			return nil, err
		}
	}
	err := s.credentials.Delete(ctx, who.Caller, in.ID, in.Force)
	if fault.Is(err, fault.Conflict) {
		return nil, s.inUse(ctx, who.Caller, in.ID, err)
	}
	return &empty{}, err
}

func (s *server) requireRevision(ctx context.Context, caller identity.Caller, id credentials.ID, expect int64) error {
	c, err := s.credentials.Get(ctx, caller, id)
	if err == nil && c.Revision != expect {
		err = fault.New(fault.Stale, "credential %q was changed since you read it: read it again", id)
	}
	return err
}

// inUse adds to a refused deletion who uses the credential, as data.
func (s *server) inUse(ctx context.Context, caller identity.Caller, id credentials.ID, refused error) error {
	usages, err := s.credentials.Usages(ctx, caller, id)
	if err != nil {
		return err
	}
	p := problem(ctx, refused)
	p.Usages = usages
	return p
}

func (s *server) credentialVersions(ctx context.Context, who session.Who, in *CredentialPath) (*answer[page[credentials.VersionInfo]], error) {
	versions, err := s.credentials.Versions(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return listOf(versions, func(v credentials.VersionInfo) credentials.VersionInfo {
		v.Fields, v.Fingerprints = orEmptyMap(v.Fields), orEmptyMap(v.Fingerprints)
		v.CreatedAt = v.CreatedAt.UTC()
		return v
	}), nil
}

func (s *server) testUnsaved(ctx context.Context, who session.Who, in *JSONBody) (*answer[credentials.TestResult], error) {
	input, err := decode[credentials.Input](in.RawBody, document.ReadOnly()...)
	if err != nil {
		return nil, err
	}
	result, err := s.credentials.TestInput(ctx, who.Caller, input)
	if err != nil {
		return nil, err
	}
	return ok(result), nil
}

// connectCredential sends a signed-in person to the provider. An API token is no person:
// it gets the link to our page, where whoever follows it signs in first.
func (s *server) connectCredential(ctx context.Context, who session.Who, in *CredentialPath) (*answer[connectView], error) {
	if who.Session == "" {
		c, err := s.credentials.Get(ctx, who.Caller, in.ID)
		if err == nil {
			err = who.Caller.Require(identity.ManageCredentials, c.Folder)
		}
		if err == nil && c.RedirectURL == "" {
			err = fault.New(fault.Conflict, "credential %q is not connected by a person: only oauth2 with grant_type authorization_code is", c.ID)
		}
		if err != nil {
			return nil, err
		}
		return ok(connectView{s.publicLink("/credentials/" + url.PathEscape(string(c.ID)) + "?connect=1")}), nil
	}
	link, err := s.credentials.Connect(ctx, who.Caller, in.ID, who.Session)
	if err != nil {
		return nil, err
	}
	return ok(connectView{link}), nil
}

func (s *server) disconnectCredential(ctx context.Context, who session.Who, in *CredentialPath) (*answer[credentials.Credential], error) {
	if err := s.credentials.Disconnect(ctx, who.Caller, in.ID); err != nil {
		return nil, err
	}
	return s.getCredential(ctx, who, in)
}

func (s *server) refreshCredential(ctx context.Context, who session.Who, in *CredentialPath) (*answer[credentials.Credential], error) {
	if err := s.credentials.Refresh(ctx, who.Caller, in.ID); err != nil {
		return nil, err
	}
	return s.getCredential(ctx, who, in)
}

func (s *server) credentialTypes(context.Context, session.Who, *struct{}) (*answer[page[credentialTypeView]], error) {
	return listOf(s.credentials.Types(), func(t authtype.Type) credentialTypeView {
		return credentialTypeView{ID: t.Name, Name: t.Label, Summary: t.Summary, Fields: append([]authtype.Field{}, t.Fields...)}
	}), nil
}

func (s *server) credentialPresets(context.Context, session.Who, *struct{}) (*answer[page[presets.Preset]], error) {
	return listOf(s.credentials.Presets(), same[presets.Preset]), nil
}

func credentialAnswer(c credentials.Credential) *answer[credentials.Credential] {
	return &answer[credentials.Credential]{Status: http.StatusOK, ETag: etag(c.Revision), Body: viewCredential(c)}
}

// viewCredential gives absent lists and maps their empty form and times their zone.
func viewCredential(c credentials.Credential) credentials.Credential {
	c.Labels, c.Fields, c.Secrets = orEmptyMap(c.Labels), orEmptyMap(c.Fields), orEmptyMap(c.Secrets)
	c.AllowedHosts, c.AllowedWorkflows = orEmpty(c.AllowedHosts), orEmpty(c.AllowedWorkflows)
	c.RotatableBy, c.FailureRules = orEmpty(c.RotatableBy), orEmpty(c.FailureRules)
	c.CreatedAt, c.UpdatedAt, c.State.Since = c.CreatedAt.UTC(), c.UpdatedAt.UTC(), c.State.Since.UTC()
	c.LastUsedAt, c.ExpiresAt = utc(c.LastUsedAt), utc(c.ExpiresAt)
	if c.Expires != nil {
		c.Expires = &credentials.Expires{At: c.Expires.At.UTC(), Reason: c.Expires.Reason}
	}
	return c
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func orEmptyMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

func same[T any](v T) T { return v }
