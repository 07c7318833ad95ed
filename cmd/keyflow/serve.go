package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func serveCommand(p process) *cobra.Command {
	var cfg config
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server: page, API, triggers and workers in one process", Args: cobra.NoArgs,
		Long: "Starts with nothing: the data folder, its SQLite database and the master key are made at the first\n" +
			"start. Every flag can also be given as a variable: --data-dir as KEYFLOW_DATA_DIR. Secrets only as\n" +
			"variables: KEYFLOW_MASTER_KEY (32 bytes in base64), KEYFLOW_ADMIN_TOKEN, KEYFLOW_ADMIN_PASSWORD.",
		Example: "  keyflow serve\n  keyflow serve --listen 0.0.0.0:8080 --public-url https://keyflow.example.com --database-url postgres://keyflow@db/keyflow",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.secrets(p.getenv)
			if err := cfg.validate(); err != nil {
				return err
			}
			log, err := cfg.logger(p.stderr)
			if err != nil {
				return err
			}
			s, err := newServer(cmd.Context(), cfg, log)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(p.stdout, "listening on %s\n", "http://"+dialable(s.listener.Addr()))
			if s.setup != "" {
				_, _ = fmt.Fprintf(p.stdout, "first start: open %s to make the administrator\n", s.setup)
			}
			if err := s.run(cmd.Context()); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
	cfg.serverFlags(cmd.Flags())
	return cmd
}
