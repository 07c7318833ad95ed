package credential

import (
	"context"
	"net/url"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
)

type connectView struct {
	AuthorizationURL string `json:"authorization_url" doc:"The URL to open in a browser."`
}

// connectCredential answers a browser session with the provider's URL. A caller with an API token
// gets a link to the admin page, which asks for a sign-in first.
func (h *handlers) connectCredential(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[connectView], error) {
	if who.Session == "" {
		c, err := h.Credentials.Get(ctx, who.Caller, in.ID)
		if err == nil {
			err = who.Caller.Require(identity.ManageCredentials, c.Folder)
		}
		if err == nil && c.RedirectURL == "" {
			err = fault.New(fault.Conflict, "credential %q is not connected by a person: only oauth2 with grant_type authorization_code is", c.ID)
		}
		if err != nil {
			return nil, err
		}
		return rest.OK(connectView{h.Link("/credentials/" + url.PathEscape(string(c.ID)) + "?connect=1")}), nil
	}
	link, err := h.Credentials.Connect(ctx, who.Caller, in.ID, who.Session)
	if err != nil {
		return nil, err
	}
	return rest.OK(connectView{link}), nil
}

func (h *handlers) disconnectCredential(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[credentials.Credential], error) {
	if err := h.Credentials.Disconnect(ctx, who.Caller, in.ID); err != nil {
		return nil, err
	}
	return h.getCredential(ctx, who, in)
}

func (h *handlers) refreshCredential(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[credentials.Credential], error) {
	if err := h.Credentials.Refresh(ctx, who.Caller, in.ID); err != nil {
		return nil, err
	}
	return h.getCredential(ctx, who, in)
}
