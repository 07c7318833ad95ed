// Package sources reads secrets that are kept outside of Keyflow: in variables of the server's
// environment, in files, and in HashiCorp Vault. A reference names one:
//
//	env:NAME          a variable
//	file:/path        the text of a file, without the line break at its end
//	vault:path#key    a key of a KV v2 secret; the first part of path is the mount
//
// Only what the operator switched on is read, and never Keyflow's own secrets. The package
// keeps nothing: what is read now is what holds now. It knows no credential.
package sources

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"keyflow/credentials/internal/coalesce"
	"keyflow/internal/fault"
	"keyflow/internal/secret"
)

// MaxBytes is the size of the largest secret that is read.
const MaxBytes = 64 << 10

// The kinds of sources.
const (
	Environment = "env"
	File        = "file"
	Vault       = "vault"
)

// Options say which sources are switched on, and what they need.
type Options struct {
	// Allow are the entries of --secret-sources: "env", "env:PREFIX_", "file",
	// "file:/folder", "vault", "vault:path".
	Allow []string
	// DataDir is the folder that is never read.
	DataDir string
	// Getenv reads the environment, also VAULT_ADDR, VAULT_TOKEN, VAULT_TOKEN_FILE and
	// VAULT_NAMESPACE; nil is an empty one.
	Getenv func(name string) (value string, set bool)
	// Transport sends the requests to Vault; nil refuses them.
	Transport http.RoundTripper
}

// Sources reads references. It is safe for concurrent use. A nil *Sources has none switched on.
type Sources struct {
	allow     map[string][]string // kind → prefixes; one of "" is everything
	dataDir   string
	getenv    func(string) (string, bool)
	transport http.RoundTripper
	reads     coalesce.Reads[string, map[string]any] // of Vault, by path
}

// Error says why a reference is refused or could not be read. The message names the reference
// and the remedy; it holds nothing of a secret.
type Error struct {
	Message string
	Err     error
}

// Error returns the message and the cause; it is for logs.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func failed(cause error, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Err: cause}
}

// New returns the sources that o switches on, or an Invalid fault that names the entry of
// Allow that it cannot read.
func New(o Options) (*Sources, error) {
	s := &Sources{allow: make(map[string][]string), getenv: o.Getenv, transport: o.Transport}
	if s.getenv == nil {
		s.getenv = func(string) (string, bool) { return "", false }
	}
	if o.DataDir != "" {
		dir, err := filepath.Abs(o.DataDir)
		if err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
		s.dataDir = dir
	}
	for _, entry := range o.Allow {
		kind, prefix, _ := strings.Cut(entry, ":")
		switch {
		case !slices.Contains(kinds(), kind):
			return nil, fault.New(fault.Invalid, "--secret-sources: %q is none of env, env:PREFIX_, file, file:/folder, vault, vault:path", entry)
		case kind == File && prefix != "" && (!filepath.IsAbs(prefix) || filepath.Clean(prefix) != prefix):
			return nil, fault.New(fault.Invalid, "--secret-sources: %q must name a folder by its full path, for example file:/run/secrets", entry)
		}
		s.allow[kind] = append(s.allow[kind], prefix)
	}
	return s, nil
}

func kinds() []string { return []string{Environment, File, Vault} }

// Kinds lists the kinds that are switched on.
func (s *Sources) Kinds() []string {
	var on []string
	for _, kind := range kinds() {
		if s != nil && len(s.allow[kind]) > 0 {
			on = append(on, kind)
		}
	}
	return on
}

var (
	nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,199}$`)
	pathForm = regexp.MustCompile(`^[A-Za-z0-9_.@=+-]+(/[A-Za-z0-9_.@=+ -]+)+$`)
)

// Check says whether a reference is well formed and may be read here. It reads nothing.
// Errors are *Error.
func (s *Sources) Check(ref string) error {
	kind, rest, _ := strings.Cut(ref, ":")
	if !slices.Contains(kinds(), kind) || len(ref) > 2048 || rest == "" {
		return failed(nil, "is no reference: write env:NAME, file:/path or vault:path#key")
	}
	if !slices.Contains(s.Kinds(), kind) {
		return failed(nil, "refers to %s, which is not switched on: start the server with --secret-sources %s (KEYFLOW_SECRET_SOURCES)", ref, kind)
	}
	switch kind {
	case Environment:
		return s.checkName(ref, rest)
	case File:
		return s.checkPath(ref, rest)
	default:
		return s.checkVault(ref, rest)
	}
}

// Read returns the secret that a reference leads to now. Errors are *Error, or the context's.
func (s *Sources) Read(ctx context.Context, ref string) (secret.Text, error) {
	if err := s.Check(ref); err != nil {
		return secret.Text{}, err
	}
	kind, rest, _ := strings.Cut(ref, ":")
	var text string
	var err error
	switch kind {
	case Environment:
		text, err = s.readVariable(ref, rest)
	case File:
		text, err = s.readFile(ref, rest)
	default:
		text, err = s.readVault(ctx, ref, rest)
	}
	switch {
	case err != nil:
		return secret.Text{}, err
	case text == "":
		return secret.Text{}, failed(nil, "%s is empty", ref)
	case len(text) > MaxBytes:
		return secret.Text{}, failed(nil, "%s holds more than 64 KiB", ref)
	}
	return secret.New(text), nil
}

func (s *Sources) checkName(ref, name string) error {
	if !nameForm.MatchString(name) {
		return failed(nil, "%s does not name a variable: letters, digits and _", ref)
	}
	for _, own := range []string{"KEYFLOW_", "VAULT_", "PG"} {
		if strings.HasPrefix(strings.ToUpper(name), own) {
			return failed(nil, "%s cannot be used: variables that begin with %s are the server's own", ref, own)
		}
	}
	for _, prefix := range s.allow[Environment] {
		if strings.HasPrefix(name, prefix) {
			return nil
		}
	}
	return s.narrowed(ref, Environment)
}

func (s *Sources) narrowed(ref, kind string) error {
	return failed(nil, "%s is not among what is switched on (%s:%s): have the server started with a --secret-sources that covers it",
		ref, kind, strings.Join(s.allow[kind], ", "+kind+":"))
}

func (s *Sources) readVariable(ref, name string) (string, error) {
	text, set := s.getenv(name)
	if !set {
		return "", failed(nil, "%s is not set in the environment of the server: set it and restart the server", ref)
	}
	return text, nil
}
