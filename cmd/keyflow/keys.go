package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyflow/credentials"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

func keysCommand(p process) *cobra.Command {
	cmd := group("keys", "Master keys: what they have sealed, and rotation")
	cmd.Long = "Every secret is sealed with a master key. A rotation adds a key and re-encrypts everything with it while\n" +
		"runs continue. Earlier keys stay in the key file, because earlier backups need them.\n" +
		"The commands ask the server that uses the data folder; without a server they work on the files."
	cmd.AddCommand(keysStatus(p), keysRotate(p))
	return cmd
}

func keysStatus(p process) *cobra.Command {
	var cfg config
	cmd := &cobra.Command{
		Use: "status", Short: "List the master keys by ID with what each has sealed", Args: cobra.NoArgs,
		Example: "  keyflow keys status\n  keyflow keys status --data-dir /var/lib/keyflow --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onData(cmd, p, &cfg, func(ctx context.Context, c *client) error {
				var status credentials.KeyStatus
				if err := c.call(ctx, http.MethodGet, "/api/v1/keys", nil, &status); err != nil {
					return err
				}
				return showKeys(cmd, status)
			}, func(ctx context.Context, c *core) error {
				status, err := c.vault.Keys(ctx, identity.System())
				if err != nil {
					return &exitError{exitFailed, err}
				}
				return showKeys(cmd, status)
			})
		},
	}
	cfg.dataFlags(cmd.Flags())
	return cmd
}

func keysRotate(p process) *cobra.Command {
	var cfg config
	var yes bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Add a master key and re-encrypt every secret with it", Args: cobra.NoArgs,
		Long: "Adds a key to master.key and re-encrypts everything while runs continue. It can be interrupted at any time:\n" +
			"everything stays readable, and the next start or rotate continues.\n\n" +
			"On Postgres it takes two calls. The first adds the key; put the file into the data folder of every other\n" +
			"process on the database, and call it again to re-encrypt. Keep a copy of the new file: see keyflow backup.",
		Example: "  keyflow keys rotate\n  keyflow keys rotate --yes     # the second call on Postgres, when all processes have the file",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onData(cmd, p, &cfg,
				func(ctx context.Context, c *client) error { return rotateOnServer(ctx, cmd, p, c, yes) },
				func(ctx context.Context, c *core) error { return rotateHere(ctx, cmd, p, c.vault, yes) })
		},
	}
	cfg.dataFlags(cmd.Flags())
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask whether every process on the database has the key file")
	return cmd
}

func rotateOnServer(ctx context.Context, cmd *cobra.Command, p process, c *client, yes bool) error {
	var status credentials.KeyStatus
	if err := c.call(ctx, http.MethodGet, "/api/v1/keys", nil, &status); err != nil {
		return err
	}
	if err := confirmKeys(p, yes, status); err != nil {
		return err
	}
	if err := c.call(ctx, http.MethodPost, "/api/v1/keys/rotate", nil, &status); err != nil {
		return err
	}
	return showKeys(cmd, status)
}

func rotateHere(ctx context.Context, cmd *cobra.Command, p process, vault *vault.Vault, yes bool) error {
	status, err := vault.Keys(ctx, identity.System())
	if err == nil {
		err = confirmKeys(p, yes, status)
	}
	if err == nil {
		_, err = vault.RotateKeys(ctx, identity.System())
	}
	if err == nil {
		err = vault.FinishRotation(ctx)
	}
	if err == nil {
		status, err = vault.Keys(ctx, identity.System())
	}
	if err != nil {
		return failure(err)
	}
	return showKeys(cmd, status)
}

// confirmKeys asks before a key is used that other processes must have first.
func confirmKeys(p process, yes bool, s credentials.KeyStatus) error {
	last := s.Keys[len(s.Keys)-1]
	if s.Source != "file" || last.Primary || last.Missing || s.Rotation.Running {
		return nil
	}
	return confirm(p, yes, fmt.Sprintf("Does every process on the database have the key file with key %d?", last.ID))
}

func showKeys(cmd *cobra.Command, s credentials.KeyStatus) error {
	return show(cmd, s, func(w io.Writer) error {
		var lines [][]string
		for _, key := range s.Keys {
			what := ""
			switch {
			case key.Primary:
				what = "primary"
			case key.Missing:
				what = "missing"
			}
			lines = append(lines, []string{fmt.Sprint(key.ID), what, fmt.Sprint(key.Sealed)})
		}
		if err := rows("KEY\t\tSEALED", lines, "")(w); err != nil {
			return err
		}
		if s.Rotation.Running || s.Rotation.Pending > 0 {
			_, _ = fmt.Fprintf(w, "to re-encrypt: %d (see keyflow keys status)\n", s.Rotation.Pending)
		}
		if s.Rotation.Message != "" {
			_, _ = fmt.Fprintln(w, oneLine(s.Rotation.Message))
		}
		return nil
	})
}

// dataFlags name the data that a command uses when there is no server.
func (c *config) dataFlags(f *pflag.FlagSet) {
	f.StringVar(&c.dataDir, "data-dir", defaultDataDir, "folder of the database, the master key and the admin token")
	f.StringVar(&c.databaseURL, "database-url", "", "postgres://… (default: SQLite in the data folder)")
}

// onData asks the server at KEYFLOW_URL, when that is set, or the server that uses the data folder;
// without a server it opens the data in this process.
func onData(cmd *cobra.Command, p process, cfg *config, remote func(context.Context, *client) error, local func(context.Context, *core) error) (err error) {
	ctx := cmd.Context()
	ask := func() error {
		c, err := newClient(process{args: p.args, stdin: p.stdin, stdout: p.stdout, stderr: p.stderr, getenv: cfg.inFolder(p.getenv)})
		if err != nil {
			return err
		}
		return remote(ctx, c)
	}
	_, missing := os.Stat(filepath.Join(cfg.dataDir, database.FileName))
	if p.getenv("KEYFLOW_URL") != "" || cfg.databaseURL == "" && missing != nil {
		return ask()
	}
	c, err := openData(ctx, p, cfg)
	if fault.Is(err, fault.Conflict) { // a server uses the folder
		return ask()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return local(ctx, c)
}

// inFolder lets a client find the token in --data-dir.
func (c *config) inFolder(getenv func(string) string) func(string) string {
	return func(name string) string {
		if name == "KEYFLOW_DATA_DIR" {
			return c.dataDir
		}
		return getenv(name)
	}
}

// openData wires the parts on the data, without serving anything.
func openData(ctx context.Context, p process, cfg *config) (*core, error) {
	cfg.secrets(p.getenv)
	cfg.logFormat, cfg.logLevel, cfg.concurrency = "text", "error", 1
	log, err := cfg.logger(p.stderr)
	if err != nil {
		return nil, err
	}
	return newCore(ctx, *cfg, log, &url.URL{Scheme: "http", Host: "localhost"}, nil)
}
