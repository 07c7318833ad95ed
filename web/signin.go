package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
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

func (s *server) signIn(ctx context.Context, _ session.Who, in *JSONBody) (*signedIn, error) {
	b, err := decode[signInBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	if !isText(b.Username) {
		b.Username = "" // nobody's, at the price of any other wrong name
	}
	cookie, who, err := s.session.SignIn(ctx, b.Username, secret.New(b.Password), requestFrom(ctx).source)
	if err != nil {
		return nil, err
	}
	return s.signedIn(http.StatusOK, cookie, who), nil
}

func (s *server) setUp(ctx context.Context, _ session.Who, in *JSONBody) (*signedIn, error) {
	b, err := decode[setUpBody](in.RawBody)
	if err != nil {
		return nil, err
	}
	cookie, who, err := s.session.Setup(ctx, secret.New(b.Token), b.Username, secret.New(b.Password))
	if err != nil {
		return nil, err
	}
	return s.signedIn(http.StatusCreated, cookie, who), nil
}

func (s *server) signedIn(status int, cookie *http.Cookie, who session.Who) *signedIn {
	return &signedIn{Status: status, SetCookie: cookie.String(), Body: s.viewSession(who)}
}

func (s *server) setUpState(ctx context.Context, _ session.Who, _ *struct{}) (*answer[setUpView], error) {
	open, err := s.session.SetupOpen(ctx)
	if err != nil {
		return nil, err
	}
	return ok(setUpView{Open: open}), nil
}

func (s *server) whoAmI(_ context.Context, who session.Who, _ *struct{}) (*answer[sessionView], error) {
	return ok(s.viewSession(who)), nil
}

func (s *server) signOut(ctx context.Context, _ session.Who, _ *struct{}) (*signedOut, error) {
	cookie, err := s.session.SignOut(ctx, requestFrom(ctx).http)
	if err != nil {
		return nil, err
	}
	return &signedOut{SetCookie: cookie.String()}, nil
}

func (s *server) viewSession(who session.Who) sessionView {
	c := who.Caller
	v := sessionView{
		Username: c.Name, Role: c.Role, Folder: c.Folder, Rights: []identity.Right{},
		PublicURL: s.publicLink(""), RedirectURL: s.publicLink(credentials.CallbackPath),
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

// publicLink is the public URL with a path below it.
func (s *server) publicLink(path string) string {
	return strings.TrimSuffix(s.public.String(), "/") + path
}
