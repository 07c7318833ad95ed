package credential

import (
	"context"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

type credentialUseList struct {
	CredentialPath
	rest.Paging
}

// useView is one request that carried the credential.
type useView struct {
	Run         string           `json:"run"`
	Workflow    workflows.ID     `json:"workflow"`
	Node        workflows.NodeID `json:"node"`
	Index       *int             `json:"index" doc:"Of the element with for_each; null without."`
	At          time.Time        `json:"at" doc:"When the attempt began that sent it."`
	Method      string           `json:"method"`
	Host        string           `json:"host"`
	URL         string           `json:"url" doc:"Redacted."`
	Status      int              `json:"status" doc:"Of the answer; 0 when there was none."`
	DurationMS  int64            `json:"duration_ms"`
	Version     int              `json:"version" doc:"Of the credential."`
	Fingerprint string           `json:"fingerprint" doc:"Of the secret that was sent."`
}

// credentialUses shows the uses by workflows in folders that the caller may view.
func (h *handlers) credentialUses(ctx context.Context, who session.Who, in *credentialUseList) (*rest.Answer[rest.Page[useView]], error) {
	if _, err := h.Credentials.Get(ctx, who.Caller, in.ID); err != nil { // authorizes
		return nil, err
	}
	uses, err := h.Uses.Uses(ctx, runs.UseFilter{Credential: in.ID, Folder: who.Caller.Folder, After: in.Cursor, Limit: in.Fetch()})
	if err != nil {
		return nil, err
	}
	return rest.PageOf(uses, in.Limit, viewUse, func(u runs.CredentialUse) string { return u.Cursor }), nil
}

func viewUse(u runs.CredentialUse) useView {
	v := useView{
		Run: u.Run.String(), Workflow: u.Workflow, Node: u.Node, At: u.At.UTC(),
		Method: u.Call.Method, Host: u.Call.Host, URL: u.Call.URL, Status: u.Call.Status, DurationMS: u.Call.Duration.Milliseconds(),
		Version: u.Call.Version, Fingerprint: u.Call.Fingerprint,
	}
	if u.Index != runs.NoIndex {
		v.Index = &u.Index
	}
	return v
}

// credentialUsages lists who names the credential or used it at run time.
func (h *handlers) credentialUsages(ctx context.Context, who session.Who, in *CredentialPath) (*rest.Answer[rest.Page[credentials.Usage]], error) {
	usages, err := h.Credentials.Usages(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return rest.ListOf(usages, rest.Same), nil
}
