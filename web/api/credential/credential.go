// Package credential has the routes of credentials: their records, tests, versions, rotation,
// OAuth connections, imports and uses.
//
// The vault authorizes and decides; this package must not know secrets.
package credential

import (
	"context"
	"net/http"
	"net/url"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/transfer"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/problem"
	"keyflow/web/rest"
	"keyflow/web/session"
)

// Options is what the routes need.
type Options struct {
	Credentials Vault
	Uses        Uses
	// Link is the public URL with a path below it.
	Link func(path string) string
}

type handlers struct{ Options }

// Register adds the routes.
func Register(a *rest.API, o Options) {
	h := &handlers{o}
	rest.Add(a, rest.Get("/credentials", "List credentials"), h.listCredentials)
	rest.Add(a, rest.Post("/credentials", "Create a credential").JSON(credentials.Input{}).Answers(201), h.createCredential)
	rest.Add(a, rest.Post("/credentials/test", "Test values that are not saved").JSON(credentials.Input{}), h.testUnsaved)
	rest.Add(a, rest.Post("/credentials/import", "Create and change many credentials, all or none").JSON(importBody{}).OrCSV().MaxBytes(transfer.MaxBytes), h.importCredentials)
	rest.Add(a, rest.Get("/credentials/{id}", "Read a credential, without its secrets"), h.getCredential)
	rest.Add(a, rest.Put("/credentials/{id}", "Replace a credential; absent secrets keep their value").JSON(credentials.Input{}), h.replaceCredential)
	rest.Add(a, rest.Patch("/credentials/{id}", "Change a credential (JSON merge patch)").JSON(credentials.Input{}), h.patchCredential)
	rest.Add(a, rest.Delete("/credentials/{id}", "Delete a credential that nothing uses"), h.deleteCredential)
	rest.Add(a, rest.Post("/credentials/{id}/test", "Test a credential, or its candidate").JSON(testBody{}).OptionalBody(), h.testCredential)
	rest.Add(a, rest.Put("/credentials/{id}/candidate", "Put new values of fields beside the current ones").JSON(candidateBody{}), h.stageCredential)
	rest.Add(a, rest.Delete("/credentials/{id}/candidate", "Drop the candidate"), h.unstageCredential)
	rest.Add(a, rest.Post("/credentials/{id}/promote", "Make the candidate the current version, after a test").JSON(credentials.Promotion{}).OptionalBody(), h.promoteCredential)
	rest.Add(a, rest.Post("/credentials/{id}/connect", "Begin an OAuth authorization"), h.connectCredential)
	rest.Add(a, rest.Post("/credentials/{id}/disconnect", "Forget the OAuth token"), h.disconnectCredential)
	rest.Add(a, rest.Post("/credentials/{id}/refresh", "Get a new OAuth token now"), h.refreshCredential)
	rest.Add(a, rest.Get("/credentials/{id}/usages", "Who names this credential, or used it at run time"), h.credentialUsages)
	rest.Add(a, rest.Get("/credentials/{id}/uses", "Every request with this credential, newest runs first"), h.credentialUses)
	rest.Add(a, rest.Get("/credentials/{id}/versions", "Versions of the fields, newest first"), h.credentialVersions)
	rest.Add(a, rest.Post("/credentials/{id}/rollback", "Make a new version with the fields of an earlier one").JSON(rollbackBody{}).OptionalBody(), h.rollbackCredential)
	rest.Add(a, rest.Get("/credential-types", "Authentication types and their fields"), h.credentialTypes)
	rest.Add(a, rest.Get("/credential-presets", "Filled-in credentials for known providers"), h.credentialPresets)
}

// CredentialPath is the input of operations on one credential.
type CredentialPath struct {
	ID credentials.ID `path:"id"`
}

type credentialList struct {
	rest.Paging
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
	rest.Matching
	rest.JSONBody
}

type credentialDelete struct {
	CredentialPath
	rest.Matching
	Force bool `query:"force" doc:"Delete although workflows use it."`
}

func (h *handlers) listCredentials(ctx context.Context, who session.Who, in *credentialList) (*rest.Answer[rest.Page[credentials.Credential]], error) {
	list, err := h.Credentials.List(ctx, who.Caller, credentials.Filter{
		Folder: in.Folder, Type: credentials.TypeName(in.Type), Status: in.State, Query: in.Q,
		Attention: in.Attention, Unused: in.Unused,
		After: credentials.ID(in.Cursor), Limit: in.Fetch(),
	})
	if err != nil {
		return nil, err
	}
	return rest.PageOf(list, in.Limit, viewCredential, func(c credentials.Credential) string { return string(c.ID) }), nil
}

func (h *handlers) createCredential(ctx context.Context, who session.Who, in *rest.JSONBody) (*rest.Answer[credentials.Credential], error) {
	input, err := rest.Decode[credentials.Input](in.RawBody, document.ReadOnly()...)
	if err != nil {
		return nil, err
	}
	c, err := h.Credentials.Create(ctx, who.Caller, input)
	if err != nil {
		return nil, err
	}
	out := credentialAnswer(c)
	out.Status, out.Location = http.StatusCreated, rest.V1+"/credentials/"+url.PathEscape(string(c.ID))
	return out, nil
}

func (h *handlers) getCredential(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[credentials.Credential], error) {
	c, err := h.Credentials.Get(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (h *handlers) replaceCredential(ctx context.Context, who session.Who, in *credentialWrite) (*rest.Answer[credentials.Credential], error) {
	expect, err := in.Revision()
	if err != nil {
		return nil, err
	}
	input, err := rest.Decode[credentials.Input](in.RawBody, document.ReadOnly()...)
	if err != nil {
		return nil, err
	}
	c, err := h.Credentials.Replace(ctx, who.Caller, in.ID, input, expect)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (h *handlers) patchCredential(ctx context.Context, who session.Who, in *credentialWrite) (*rest.Answer[credentials.Credential], error) {
	expect, err := in.Revision()
	if err != nil {
		return nil, err
	}
	// The vault applies the patch; here only its shape is checked, which is that of an input.
	if _, err := rest.Decode[credentials.Input](in.RawBody, document.ReadOnly()...); err != nil {
		return nil, err
	}
	c, err := h.Credentials.Patch(ctx, who.Caller, in.ID, in.Copied(), expect)
	if err != nil {
		return nil, err
	}
	return credentialAnswer(c), nil
}

func (h *handlers) deleteCredential(ctx context.Context, who session.Who, in *credentialDelete) (*rest.Empty, error) {
	if expect, err := in.Revision(); err != nil || expect >= 0 {
		if err == nil {
			err = h.requireRevision(ctx, who.Caller, in.ID, expect)
		}
		if err != nil {
			return nil, err
		}
	}
	err := h.Credentials.Delete(ctx, who.Caller, in.ID, in.Force)
	if fault.Is(err, fault.Conflict) {
		return nil, h.inUse(ctx, who.Caller, in.ID, err)
	}
	return &rest.Empty{}, err
}

func (h *handlers) requireRevision(ctx context.Context, caller identity.Caller, id credentials.ID, expect int64) error {
	c, err := h.Credentials.Get(ctx, caller, id)
	if err == nil && c.Revision != expect {
		err = fault.New(fault.Stale, "credential %q was changed since you read it: read it again", id)
	}
	return err
}

// inUse adds to a refused deletion who uses the credential, as data.
func (h *handlers) inUse(ctx context.Context, caller identity.Caller, id credentials.ID, refused error) error {
	usages, err := h.Credentials.Usages(ctx, caller, id)
	if err != nil {
		return err
	}
	p := problem.From(ctx, refused)
	p.Usages = usages
	return p
}

func credentialAnswer(c credentials.Credential) *rest.Answer[credentials.Credential] {
	return &rest.Answer[credentials.Credential]{Status: http.StatusOK, ETag: rest.ETag(c.Revision), Body: viewCredential(c)}
}

// viewCredential gives absent lists and maps their empty form and times their zone.
func viewCredential(c credentials.Credential) credentials.Credential {
	c.Labels, c.Fields, c.Secrets = rest.OrEmptyMap(c.Labels), rest.OrEmptyMap(c.Fields), rest.OrEmptyMap(c.Secrets)
	c.AllowedHosts, c.AllowedWorkflows = rest.OrEmpty(c.AllowedHosts), rest.OrEmpty(c.AllowedWorkflows)
	c.RotatableBy, c.FailureRules = rest.OrEmpty(c.RotatableBy), rest.OrEmpty(c.FailureRules)
	c.CreatedAt, c.UpdatedAt, c.State.Since = c.CreatedAt.UTC(), c.UpdatedAt.UTC(), c.State.Since.UTC()
	c.LastUsedAt, c.ExpiresAt = rest.UTC(c.LastUsedAt), rest.UTC(c.ExpiresAt)
	if c.Expires != nil {
		c.Expires = &credentials.Expires{At: c.Expires.At.UTC(), Reason: c.Expires.Reason}
	}
	return c
}
