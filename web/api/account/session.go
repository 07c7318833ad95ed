package account

import (
	"context"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
	"keyflow/web/request"
	"keyflow/web/rest"
	"keyflow/web/session"
)

type signInBody struct {
	Username string `json:"username"`
	Password string `json:"password" writeOnly:"true"`
}

type setUpBody struct {
	Token    string `json:"token" writeOnly:"true" doc:"From the one-time link that the server printed."`
	Username string `json:"username"`
	Password string `json:"password" writeOnly:"true"`
}

// sessionView says who is signed in and what that caller may do.
type sessionView struct {
	Username    string           `json:"username"`
	Role        identity.Role    `json:"role"`
	Folder      string           `json:"folder"`
	Rights      []identity.Right `json:"rights" nullable:"false"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	PublicURL   string           `json:"public_url"`
	RedirectURL string           `json:"redirect_url" doc:"Register this at OAuth providers."`
}

type setUpView struct {
	Open bool `json:"open" doc:"No administrator exists yet."`
}

// signedIn is the answer that begins a session.
type signedIn struct {
	Status    int
	SetCookie string `header:"Set-Cookie"`
	Body      sessionView
}

// signedOut is the answer that ends one.
type signedOut struct {
	SetCookie string `header:"Set-Cookie"`
}

func (h *handlers) signIn(ctx context.Context, _ session.Who, in *rest.JSONBody) (*signedIn, error) {
	b, err := rest.Decode[signInBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	if !request.IsText(b.Username) {
		b.Username = "" // no account has it; the check takes as long as for any wrong name
	}
	cookie, who, err := h.Session.SignIn(ctx, b.Username, secret.New(b.Password), request.From(ctx).Source)
	if err != nil {
		return nil, err
	}
	return h.signedIn(http.StatusOK, cookie, who), nil
}

func (h *handlers) setUp(ctx context.Context, _ session.Who, in *rest.JSONBody) (*signedIn, error) {
	b, err := rest.Decode[setUpBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	cookie, who, err := h.Session.Setup(ctx, secret.New(b.Token), b.Username, secret.New(b.Password))
	if err != nil {
		return nil, err
	}
	return h.signedIn(http.StatusCreated, cookie, who), nil
}

func (h *handlers) signedIn(status int, cookie *http.Cookie, who session.Who) *signedIn {
	return &signedIn{Status: status, SetCookie: cookie.String(), Body: h.viewSession(who)}
}

func (h *handlers) setUpState(ctx context.Context, _ session.Who, _ *struct{}) (*rest.Answer[setUpView], error) {
	open, err := h.Session.SetupOpen(ctx)
	if err != nil {
		return nil, err
	}
	return rest.OK(setUpView{Open: open}), nil
}

func (h *handlers) whoAmI(_ context.Context, who session.Who, _ *struct{}) (*rest.Answer[sessionView], error) {
	return rest.OK(h.viewSession(who)), nil
}

func (h *handlers) signOut(ctx context.Context, _ session.Who, _ *struct{}) (*signedOut, error) {
	cookie, err := h.Session.SignOut(ctx, request.From(ctx).HTTP)
	if err != nil {
		return nil, err
	}
	return &signedOut{SetCookie: cookie.String()}, nil
}

func (h *handlers) viewSession(who session.Who) sessionView {
	c := who.Caller
	v := sessionView{
		Username: c.Name, Role: c.Role, Folder: c.Folder, Rights: []identity.Right{},
		PublicURL: h.Link(""), RedirectURL: h.Link(credentials.CallbackPath),
	}
	for _, right := range []identity.Right{
		identity.View, identity.Operate, identity.EditWorkflows,
		identity.UseCredentials, identity.ManageCredentials, identity.Administer,
	} {
		if c.May(right, c.Folder) {
			v.Rights = append(v.Rights, right)
		}
	}
	if !who.Expires.IsZero() {
		at := who.Expires.UTC()
		v.ExpiresAt = &at
	}
	return v
}
