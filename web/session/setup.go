package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
)

// SetupFile is the file in the data folder that has the one-time link, mode 0600.
const SetupFile = "setup-link"

// AdminName is the account of a preset administrator password.
const AdminName = "admin"

// Bounds of a password, in characters; there are no rules about which.
const (
	minPassword = 8
	maxPassword = 1024
)

// SetupPath is where the set-up page lives below the public URL; the token follows in the
// fragment, which browsers do not send.
const SetupPath = "/setup"

// OpenSetup opens the way to the first administrator and returns the one-time link, which
// it also keeps in dir/setup-link; a link that is there already stays valid. It returns ""
// when an administrator exists or was just created from adminPassword (when that is set).
func (s *Service) OpenSetup(ctx context.Context, dir string, adminPassword secret.Text) (link string, err error) {
	s.setup.mu.Lock()
	defer s.setup.mu.Unlock()
	file := filepath.Join(dir, SetupFile)
	done, err := s.accounts.SetupDone(ctx)
	if err == nil && !done && adminPassword.IsSet() {
		done, err = true, s.createFirst(ctx, AdminName, adminPassword)
		if fault.Is(err, fault.Conflict) { // another process was first
			err = nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("open set-up: %w", err)
	}
	if done {
		return "", removeFile(file)
	}
	token := setupToken(file)
	link = strings.TrimSuffix(s.public.String(), "/") + SetupPath + "#token=" + token
	if err := writePrivate(file, link+"\n"); err != nil {
		return "", err
	}
	hash := hashOf(secret.New(token))
	s.setup.token, s.setup.file = &hash, file
	return link, nil
}

// setupToken returns the token of the link in file, or a new one.
func setupToken(file string) string {
	if old, err := os.ReadFile(file); err == nil {
		if _, token, ok := strings.Cut(strings.TrimSpace(string(old)), "#token="); ok && len(token) >= 26 {
			return token
		}
	}
	return rand.Text() + rand.Text() // 260 random bits
}

// SetupOpen reports whether no administrator exists yet.
func (s *Service) SetupOpen(ctx context.Context) (bool, error) {
	done, err := s.accounts.SetupDone(ctx)
	return !done, err
}

// Setup creates the first administrator with the token of the one-time link and signs in.
// Conflict: an administrator exists, for ever after. Forbidden: not this link's token.
// Invalid: problems with /username and /password.
func (s *Service) Setup(ctx context.Context, token secret.Text, username string, password secret.Text) (*http.Cookie, Who, error) {
	s.setup.mu.Lock()
	defer s.setup.mu.Unlock()
	done, err := s.accounts.SetupDone(ctx)
	if err != nil {
		return nil, Who{}, fmt.Errorf("set up: %w", err)
	}
	if done {
		return nil, Who{}, fault.New(fault.Conflict, "set-up is closed: an administrator exists already")
	}
	if !s.setupToken(token) {
		return nil, Who{}, fault.New(fault.Forbidden,
			"the set-up link is wrong or was replaced: use the one that the server printed, or the file %s in its data folder", SetupFile)
	}
	if err := s.createFirst(ctx, username, password); err != nil {
		return nil, Who{}, fmt.Errorf("set up: %w", err)
	}
	if err := removeFile(s.setup.file); err != nil {
		s.log.WarnContext(ctx, "the used set-up link stays in its file", "error", err)
	}
	account, err := s.accounts.Account(ctx, normalize(username))
	if err != nil {
		return nil, Who{}, fmt.Errorf("set up: %w", err)
	}
	return s.begin(ctx, account)
}

func (s *Service) setupToken(token secret.Text) bool {
	if s.setup.token == nil {
		return false
	}
	got := hashOf(token)
	return subtle.ConstantTimeCompare(got[:], s.setup.token[:]) == 1
}

func (s *Service) createFirst(ctx context.Context, username string, password secret.Text) error {
	name := normalize(username)
	if problems := checkAccount(name, password); len(problems) > 0 {
		return fault.Problems("the account is not valid", problems)
	}
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.accounts.CreateFirst(ctx, Account{
		Name: name, PasswordHash: hash, Role: identity.Admin, Folder: "/", CreatedAt: s.now(),
	})
}

func checkAccount(name string, password secret.Text) (problems []fault.Problem) {
	if ok, _ := regexp.MatchString(`^[a-z0-9][a-z0-9._@+-]*$`, name); !ok || len(name) > maxName {
		problems = append(problems, fault.Problem{
			Path: "/username", Code: "invalid_name",
			Message: "1 to 64 letters, digits and . _ @ + -, beginning with a letter or digit",
		})
	}
	if n := utf8.RuneCountInString(password.Reveal()); n < minPassword || n > maxPassword {
		problems = append(problems, fault.Problem{
			Path: "/password", Code: "invalid_length",
			Message: fmt.Sprintf("a password has %d to %d characters", minPassword, maxPassword),
		})
	}
	return problems
}

// writePrivate replaces a file's content in one step, readable by its owner only.
func writePrivate(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", filepath.Base(path), err)
	}
	return nil
}
