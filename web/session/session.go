// Package session says who is calling: it turns a sign-in, a session cookie or an API
// token into an [identity.Caller].
//
//	Setup         the one-time link that creates the first administrator
//	SignIn        a password becomes a session on the server and a cookie in the browser
//	Authenticate  a request's cookie or bearer token becomes a caller, at each request
//	CreateToken   API tokens: kf_ and 32 random bytes, stored as a hash
//
// It owns passwords, sessions and tokens. It must not know what callers may do (package
// identity), routes or JSON (package web), or SQL (sqlstore).
package session

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
)

// Lifetime is how long a browser session lives, however busy it is.
const Lifetime = 12 * time.Hour

// Keys of the values in a stored session.
const (
	accountKey = "account"
	idKey      = "id"
	endsKey    = "ends"
)

// Options are the parts of a Service. Accounts, Tokens, Sessions and PublicURL are required.
type Options struct {
	Accounts AccountStore
	Tokens   TokenStore
	Sessions scs.CtxStore
	// PublicURL decides the cookie's Secure attribute and where the set-up link leads.
	PublicURL *url.URL
	// AdminToken, when set, is the token of the data folder ([AdminToken]): administrator everywhere.
	AdminToken secret.Text
	// Cost of new password hashes; zero is DefaultCost.
	Cost Cost
	// Now is the clock; nil is time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Service authenticates people and programs. It is safe for concurrent use.
type Service struct {
	accounts  AccountStore
	tokens    TokenStore
	scs       *scs.SessionManager
	passwords *passwords
	byAccount *throttle
	bySource  *throttle
	admin     *Hash // of the data folder's token
	now       func() time.Time
	log       *slog.Logger
	public    *url.URL
	secure    bool

	setup setupState
}

// setupState is the open set-up link; setup.mu also makes set-up calls of this process wait
// for each other, so that losers of a race cost no password hash.
type setupState struct {
	mu    sync.Mutex
	token *Hash  // nil: this process created no link
	file  string // removed when set-up is finished
}

// Who is an authenticated caller and how it proved itself.
type Who struct {
	Caller identity.Caller
	// Session identifies the browser session without being its cookie; "" for API tokens.
	Session string
	// Expires is when the session or token ends; zero is never.
	Expires time.Time
}

// New returns a Service, or an error when a required option is missing.
func New(o Options) (*Service, error) {
	if o.Accounts == nil || o.Tokens == nil || o.Sessions == nil || o.PublicURL == nil {
		return nil, fmt.Errorf("session: accounts, tokens, sessions and public URL are required")
	}
	if o.Cost == (Cost{}) {
		o.Cost = DefaultCost()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		accounts: o.Accounts,
		tokens:   o.Tokens,
		// Not scs.New: its default memory store starts a goroutine that is never stopped.
		scs:       &scs.SessionManager{Lifetime: Lifetime, Store: o.Sessions, Codec: scs.GobCodec{}, HashTokenInStore: true},
		passwords: newPasswords(o.Cost),
		byAccount: newThrottle(perAccount()),
		bySource:  newThrottle(perSource()),
		now:       o.Now,
		log:       o.Logger,
		public:    o.PublicURL,
		secure:    o.PublicURL.Scheme == "https",
	}
	if o.AdminToken.IsSet() {
		hash := hashOf(o.AdminToken)
		s.admin = &hash
	}
	return s, nil
}

// SignIn checks a password and begins a session. Source is the caller's address, for the
// throttle. A wrong password and an unknown account are the same Unauthenticated fault
// after the same work; too many failures are a *[ThrottledError].
func (s *Service) SignIn(ctx context.Context, username string, password secret.Text, source string) (*http.Cookie, Who, error) {
	name, now := normalize(username), s.now()
	if err := s.book(name, source, now); err != nil {
		return nil, Who{}, err
	}
	account, err := s.accounts.Account(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, Who{}, fmt.Errorf("sign in: %w", err)
	}
	ok, err := s.passwords.verify(ctx, account.PasswordHash, password)
	if err != nil {
		return nil, Who{}, fmt.Errorf("sign in: %w", err)
	}
	if !ok {
		return nil, Who{}, fault.New(fault.Unauthenticated, "the username or the password is wrong")
	}
	s.byAccount.giveBack(name, now)
	s.bySource.giveBack(source, now)
	return s.begin(ctx, account)
}

// book takes one attempt from both throttles, or from neither.
func (s *Service) book(account, source string, now time.Time) error {
	if err := s.bySource.take(source, now); err != nil {
		return err
	}
	if err := s.byAccount.take(account, now); err != nil {
		s.bySource.giveBack(source, now)
		return err
	}
	return nil
}

// begin stores a new session for the account and returns its cookie.
func (s *Service) begin(ctx context.Context, account Account) (*http.Cookie, Who, error) {
	ctx, err := s.scs.Load(ctx, "")
	if err != nil {
		return nil, Who{}, fmt.Errorf("begin session: %w", err)
	}
	who := Who{Caller: callerOf(account), Session: rand.Text(), Expires: s.now().Add(Lifetime).Truncate(time.Second)}
	s.scs.Put(ctx, accountKey, account.Name)
	s.scs.Put(ctx, idKey, who.Session)
	s.scs.Put(ctx, endsKey, who.Expires.Unix())
	token, _, err := s.scs.Commit(ctx)
	if err != nil {
		return nil, Who{}, fmt.Errorf("begin session: %w", err)
	}
	return s.cookie(token, int(Lifetime/time.Second)), who, nil
}

// SignOut ends the request's session, if it has one, and returns the cookie that clears it.
func (s *Service) SignOut(ctx context.Context, r *http.Request) (*http.Cookie, error) {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		ctx, err := s.scs.Load(ctx, c.Value)
		if err == nil {
			err = s.scs.Destroy(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("sign out: %w", err)
		}
	}
	return s.cookie("", -1), nil
}

// Authenticate returns the caller. A request with an Authorization header is judged by that alone: a
// cookie does not replace a bad token. Everything is read again at each request, so that
// a removed account, token or session is refused at once, on every process.
func (s *Service) Authenticate(ctx context.Context, r *http.Request) (Who, error) {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return Who{}, fault.New(fault.Unauthenticated, "send one Authorization header: Bearer and an API token")
		}
		return s.byToken(ctx, secret.New(strings.TrimSpace(token)))
	}
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return Who{}, fault.New(fault.Unauthenticated, "sign in, or send an API token")
	}
	return s.byCookie(ctx, c.Value)
}

func (s *Service) byCookie(ctx context.Context, cookie string) (Who, error) {
	ctx, err := s.scs.Load(ctx, cookie)
	if err != nil {
		return Who{}, fmt.Errorf("load session: %w", err)
	}
	ended := fault.New(fault.Unauthenticated, "the session has ended: sign in again")
	name := s.scs.GetString(ctx, accountKey)
	ends := time.Unix(s.scs.GetInt64(ctx, endsKey), 0)
	if name == "" || !s.now().Before(ends) {
		return Who{}, ended
	}
	account, err := s.accounts.Account(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return Who{}, ended
	}
	if err != nil {
		return Who{}, fmt.Errorf("load account of session: %w", err)
	}
	return Who{Caller: callerOf(account), Session: s.scs.GetString(ctx, idKey), Expires: ends}, nil
}

// WithoutSession returns the request without our session cookie, for handlers that pass
// headers on or store them; r itself when it has none.
func (s *Service) WithoutSession(r *http.Request) *http.Request {
	if _, err := r.Cookie(s.cookieName()); err != nil {
		return r
	}
	others := make([]string, 0, 1)
	for _, c := range r.Cookies() {
		if c.Name != s.cookieName() {
			others = append(others, c.Name+"="+c.Value)
		}
	}
	r = r.Clone(r.Context())
	r.Header.Del("Cookie")
	if len(others) > 0 {
		r.Header.Set("Cookie", strings.Join(others, "; "))
	}
	return r
}

// cookieName carries the __Host- prefix where browsers honour it: then no other host of
// the same site can plant a session (RFC 6265bis section 4.1.3.2).
func (s *Service) cookieName() string {
	if s.secure {
		return "__Host-keyflow_session"
	}
	return "keyflow_session"
}

func (s *Service) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure follows the scheme of the public URL
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: maxAge,
		Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func callerOf(a Account) identity.Caller {
	return identity.Caller{Name: a.Name, Role: a.Role, Folder: a.Folder}
}

// maxName bounds account names, in bytes.
const maxName = 64

// normalize is applied to a name before it is looked up and before it is counted, so that
// no spelling of an account escapes its throttle.
func normalize(username string) string {
	username = strings.ToLower(strings.TrimSpace(username))
	if len(username) > maxName {
		return username[:maxName+1] // no account has this length
	}
	return username
}
