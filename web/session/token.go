package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
)

// TokenPrefix begins every API token, so that secret scanners can find one that leaked.
const TokenPrefix = "kf_"

// AdminTokenFile is the file in the data folder that lets the command line in, mode 0600.
const AdminTokenFile = "admin-token"

// MinAdminToken is the least length of a token given by the operator.
const MinAdminToken = 20

// touchEvery is how precise a token's last use is kept.
const touchEvery = time.Minute

// AdminToken returns the administrator token of a data folder. The file is created when it is
// missing; given, when set, fixes its value (Invalid when shorter than MinAdminToken).
func AdminToken(dir string, given secret.Text) (secret.Text, error) {
	file := filepath.Join(dir, AdminTokenFile)
	if given.IsSet() {
		if len(given.Reveal()) < MinAdminToken || strings.ContainsAny(given.Reveal(), " \t\r\n") {
			return secret.Text{}, fault.New(fault.Invalid,
				"KEYFLOW_ADMIN_TOKEN must have at least %d characters and no spaces", MinAdminToken)
		}
		return given, writePrivate(file, given.Reveal()+"\n")
	}
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		token := newToken()
		return token, writePrivate(file, token.Reveal()+"\n")
	case err != nil:
		return secret.Text{}, fmt.Errorf("read %s: %w", AdminTokenFile, err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < MinAdminToken {
		return secret.Text{}, fault.New(fault.Invalid,
			"%s holds no token: delete the file to get a new one", file)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return secret.Text{}, fmt.Errorf("protect %s: %w", AdminTokenFile, err)
	}
	return secret.New(token), nil
}

// NewToken describes a new API token.
type NewToken struct {
	Name      string
	Role      identity.Role
	Folder    string
	ExpiresAt *time.Time
}

// CreateToken creates an API token and returns it with its secret, which is shown this once.
// The caller needs the right to administer the token's folder.
func (s *Service) CreateToken(ctx context.Context, caller identity.Caller, n NewToken) (Token, secret.Text, error) {
	if n.Folder == "" {
		n.Folder = "/"
	}
	now := s.now().Truncate(time.Microsecond) // as it is stored
	if problems := checkToken(n, now); len(problems) > 0 {
		return Token{}, secret.Text{}, fault.Problems("the token is not valid", problems)
	}
	if err := caller.Require(identity.Administer, n.Folder); err != nil {
		return Token{}, secret.Text{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, secret.Text{}, fmt.Errorf("create token: %w", err)
	}
	value := newToken()
	t := Token{
		ID: id.String(), Name: n.Name, Role: n.Role, Folder: n.Folder,
		CreatedAt: now, CreatedBy: caller.Name, ExpiresAt: n.ExpiresAt,
	}
	if err := s.tokens.Create(ctx, t, hashOf(value)); err != nil {
		return Token{}, secret.Text{}, fmt.Errorf("create token: %w", err)
	}
	s.log.InfoContext(ctx, "API token created", "token", t.Name, "role", t.Role, "folder", t.Folder, "by", caller.Name)
	return t, value, nil
}

// Tokens returns API tokens, newest first. The caller needs the right to administer the
// filter's folder; "" is the caller's own.
func (s *Service) Tokens(ctx context.Context, caller identity.Caller, f TokenFilter) ([]Token, error) {
	if f.Folder == "" {
		f.Folder = caller.Folder
	}
	if err := caller.Require(identity.Administer, f.Folder); err != nil {
		return nil, err
	}
	return s.tokens.List(ctx, f)
}

// RevokeToken deletes an API token; the next request with it is refused. A token outside
// the caller's folder does not exist for it.
func (s *Service) RevokeToken(ctx context.Context, caller identity.Caller, id string) error {
	t, err := s.tokens.Token(ctx, id)
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	if !caller.May(identity.View, t.Folder) {
		return fault.New(fault.NotFound, "token %q does not exist", id)
	}
	if err := caller.Require(identity.Administer, t.Folder); err != nil {
		return err
	}
	if err := s.tokens.Delete(ctx, id); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	s.log.InfoContext(ctx, "API token revoked", "token", t.Name, "by", caller.Name)
	return nil
}

func (s *Service) byToken(ctx context.Context, value secret.Text) (Who, error) {
	hash := hashOf(value)
	if s.admin != nil && subtle.ConstantTimeCompare(hash[:], s.admin[:]) == 1 {
		return Who{Caller: identity.Caller{Name: "token:" + AdminTokenFile, Role: identity.Admin, Folder: "/"}}, nil
	}
	refused := fault.New(fault.Unauthenticated, "the API token is unknown, expired or revoked")
	if !strings.HasPrefix(value.Reveal(), TokenPrefix) {
		return Who{}, refused
	}
	t, err := s.tokens.ByHash(ctx, hash)
	if fault.Is(err, fault.NotFound) {
		return Who{}, refused
	}
	if err != nil {
		return Who{}, fmt.Errorf("load token: %w", err)
	}
	now := s.now()
	who := Who{Caller: identity.Caller{Name: "token:" + t.Name, Role: t.Role, Folder: t.Folder}}
	if t.ExpiresAt != nil {
		if !now.Before(*t.ExpiresAt) {
			return Who{}, refused
		}
		who.Expires = *t.ExpiresAt
	}
	if t.LastUsedAt == nil || now.Sub(*t.LastUsedAt) >= touchEvery {
		if err := s.tokens.Touch(ctx, t.ID, now); err != nil { // the use counts more than its record
			s.log.WarnContext(ctx, "last use of a token was not recorded", "token", t.Name, "error", err)
		}
	}
	return who, nil
}

func checkToken(n NewToken, now time.Time) (problems []fault.Problem) {
	if ok, _ := regexp.MatchString(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$`, n.Name); !ok || n.Name == AdminTokenFile {
		problems = append(problems, fault.Problem{
			Path: "/name", Code: "invalid_name",
			Message: "1 to 63 letters, digits, spaces and . _ -, beginning with a letter or digit",
		})
	}
	if !n.Role.Valid() {
		problems = append(problems, fault.Problem{
			Path: "/role", Code: "unknown_role",
			Message: "one of viewer, operator, editor, credential_manager, admin",
		})
	}
	if ok, _ := regexp.MatchString(`^(/|(/[a-z0-9][a-z0-9_-]*)+)$`, n.Folder); !ok {
		problems = append(problems, fault.Problem{
			Path: "/folder", Code: "invalid_folder",
			Message: "a path such as /partners/acme; / is everywhere",
		})
	}
	if n.ExpiresAt != nil && !n.ExpiresAt.After(now) {
		problems = append(problems, fault.Problem{
			Path: "/expires_at", Code: "in_the_past", Message: "a time in the future, or null for never",
		})
	}
	if n.ExpiresAt != nil && n.ExpiresAt.UTC().Year() > 9999 { // JSON could not write it
		problems = append(problems, fault.Problem{
			Path: "/expires_at", Code: "too_late", Message: "a time before the year 10000 in UTC, or null for never",
		})
	}
	return problems
}

func newToken() secret.Text {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return secret.New(TokenPrefix + base64.RawURLEncoding.EncodeToString(b))
}

func hashOf(t secret.Text) Hash { return sha256.Sum256([]byte(t.Reveal())) }
