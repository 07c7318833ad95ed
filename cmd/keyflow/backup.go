package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"keyflow/credentials/masterkey"
	credentialstore "keyflow/credentials/sqlstore"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

func backupCommand(p process) *cobra.Command {
	var cfg config
	cmd := &cobra.Command{
		Use: "backup FILE|DIR", Short: "Copy the SQLite database while the server runs", Args: oneOf("FILE or DIR"),
		Long: "Writes a consistent copy of the database. The server that uses the data folder makes it; without a server it\n" +
			"is made from the files. It does not contain master.key, and without that key nobody can read its secrets: keep\n" +
			"a copy of master.key elsewhere. On Postgres use pg_dump.",
		Example: "  keyflow backup /backups/                # a file named by the time\n  keyflow backup keyflow-2026.db --data-dir /var/lib/keyflow",
		RunE: func(cmd *cobra.Command, args []string) error {
			target := backupFile(args[0], time.Now())
			return onData(cmd, p, &cfg, func(ctx context.Context, c *client) error {
				return keepBackup(cmd, target, func(path string) error { return c.download(ctx, "/api/v1/backup", path) })
			}, func(ctx context.Context, c *core) error {
				return keepBackup(cmd, target, func(path string) error { return c.db.Backup(ctx, path) })
			})
		},
	}
	cfg.dataFlags(cmd.Flags())
	return cmd
}

// backupFile is the file of a backup: target, or in an existing folder a file named by the time.
func backupFile(target string, now time.Time) string {
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		return filepath.Join(target, "keyflow-"+now.UTC().Format("20060102T150405Z")+".db")
	}
	return target
}

// keepBackup writes a backup beside target and links it there when it is complete. It never
// replaces a file.
func keepBackup(cmd *cobra.Command, target string, write func(path string) error) error {
	dir, err := os.MkdirTemp(filepath.Dir(target), ".keyflow-backup-*") // mode 0700
	if err != nil {
		return usagef("cannot write to the folder of %s", target)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "backup")
	if err := write(path); err != nil {
		return failure(err)
	}
	if err := os.Link(path, target); err != nil {
		return usagef("%s exists or cannot be created; backups are never replaced: choose another name", target)
	}
	info, err := os.Stat(target)
	if err != nil {
		return failure(err)
	}
	return show(cmd, map[string]any{"file": target, "bytes": info.Size()},
		line("%s, %d bytes; it does not contain %s: keep a copy of that file elsewhere", target, info.Size(), masterkey.FileName))
}

// failure gives an error its exit code, if it has none.
func failure(err error) error {
	if _, coded := errors.AsType[*exitError](err); coded {
		return err
	}
	return &exitError{exitFailed, err}
}

// download writes the answer of a POST to a new file.
func (c *client) download(ctx context.Context, route, path string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+route, nil)
	if err != nil {
		return usagef("KEYFLOW_URL: %w", err)
	}
	if c.token.IsSet() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	res, err := c.http.Do(req)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("no Keyflow server answers at %s (KEYFLOW_URL); start one with: keyflow serve", c.base)}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusBadRequest {
		answer, _ := io.ReadAll(io.LimitReader(res.Body, maxInputSize)) // a part is enough for a message
		return refusal(res, answer)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, res.Body); err != nil {
		return errors.Join(&exitError{exitUnreachable, fmt.Errorf("the connection to %s broke in the middle of the backup", c.base)}, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

func restoreCommand(p process) *cobra.Command {
	var cfg config
	var force bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Put a backup into a data folder that no server uses", Args: oneOf("FILE"),
		Long: "Checks the backup, and that the master key in the folder (or KEYFLOW_MASTER_KEY) decrypts it. With another\n" +
			"key nothing changes and the exit code is 3. --force replaces an existing database and keeps it beside the\n" +
			"new one. On Postgres use pg_restore or psql.",
		Example: "  cp /safe/master.key /var/lib/keyflow/ && keyflow restore keyflow-2026.db --data-dir /var/lib/keyflow",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cfg.databaseURL != "" {
				return usagef("restore is for SQLite: with --database-url use pg_restore or psql")
			}
			cfg.secrets(p.getenv)
			former, err := database.Restore(cmd.Context(), args[0], database.RestoreOptions{Dir: cfg.dataDir, Force: force, Check: cfg.keyFits})
			if err != nil {
				return restoreFailed(err)
			}
			return show(cmd, map[string]any{"data_dir": cfg.dataDir, "former": former}, func(w io.Writer) error {
				_, _ = fmt.Fprintf(w, "restored into %s\n", cfg.dataDir)
				if former != "" {
					_, _ = fmt.Fprintf(w, "the former database is %s\n", former)
				}
				return nil
			})
		},
	}
	cfg.dataFlags(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing database")
	return cmd
}

// keyFits returns an error unless the master key decrypts the database.
func (c *config) keyFits(ctx context.Context, db *database.DB) error {
	keys, err := masterkey.Open(c.dataDir, c.masterKey)
	if err != nil {
		return err
	}
	return keys.Fits(ctx, credentialstore.New(db))
}

func restoreFailed(err error) error {
	if e, ok := errors.AsType[*masterkey.KeyError](err); ok {
		return &exitError{exitCannotStart, e}
	}
	if fault.Is(err, fault.Invalid) {
		return &exitError{exitUsage, err}
	}
	return failure(err)
}
