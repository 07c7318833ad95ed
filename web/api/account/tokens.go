package account

import (
	"context"
	"net/http"
	"time"

	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
)

type tokenBody struct {
	Name      string        `json:"name"`
	Role      identity.Role `json:"role" enum:"viewer,operator,editor,credential_manager,admin"`
	Folder    string        `json:"folder,omitempty" doc:"The role holds here and below; default /."`
	ExpiresAt *time.Time    `json:"expires_at,omitempty" doc:"Absent or null: never."`
}

// TokenView is an API token without its secret.
type TokenView struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Role       identity.Role `json:"role"`
	Folder     string        `json:"folder"`
	CreatedAt  time.Time     `json:"created_at"`
	CreatedBy  string        `json:"created_by"`
	ExpiresAt  *time.Time    `json:"expires_at"`
	LastUsedAt *time.Time    `json:"last_used_at"`
}

type newTokenView struct {
	TokenView
	Token string `json:"token" doc:"Shown this once."`
}

type tokenID struct {
	ID string `path:"id"`
}

type tokenList struct {
	rest.Paging
	Folder string `query:"folder"`
}

func (h *handlers) listTokens(ctx context.Context, who session.Who, in *tokenList) (*rest.Answer[rest.Page[TokenView]], error) {
	tokens, err := h.Session.Tokens(ctx, who.Caller, session.TokenFilter{Folder: in.Folder, Before: in.Cursor, Limit: in.Fetch()})
	if err != nil {
		return nil, err
	}
	return rest.PageOf(tokens, in.Limit, viewToken, func(t session.Token) string { return t.ID }), nil
}

func (h *handlers) createToken(ctx context.Context, who session.Who, in *rest.JSONBody) (*rest.Answer[newTokenView], error) {
	b, err := rest.Decode[tokenBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	t, value, err := h.Session.CreateToken(ctx, who.Caller, session.NewToken{
		Name: b.Name, Role: b.Role, Folder: b.Folder, ExpiresAt: b.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return &rest.Answer[newTokenView]{Status: http.StatusCreated, Body: newTokenView{viewToken(t), value.Reveal()}}, nil
}

func (h *handlers) revokeToken(ctx context.Context, who session.Who, in *tokenID) (*rest.Empty, error) {
	return &rest.Empty{}, h.Session.RevokeToken(ctx, who.Caller, in.ID)
}

func viewToken(t session.Token) TokenView {
	return TokenView{
		ID: t.ID, Name: t.Name, Role: t.Role, Folder: t.Folder, CreatedAt: t.CreatedAt.UTC(), CreatedBy: t.CreatedBy,
		ExpiresAt: rest.UTC(t.ExpiresAt), LastUsedAt: rest.UTC(t.LastUsedAt),
	}
}
