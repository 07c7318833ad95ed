package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"
)

// gcPercent is the heap's growth between two collections, in percent of what is alive
// (docs/explanation/performance.md). GOGC overrides it.
const gcPercent = 200

func serveCommand(p process) *cobra.Command {
	var cfg config
	var profile string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server: page, API, triggers and workers in one process", Args: cobra.NoArgs,
		Long: "Needs no set-up: the first start creates the data folder, its SQLite database and the master key.\n" +
			"Every flag has a variable: KEYFLOW_DATA_DIR for --data-dir. Secrets are read from variables only:\n" +
			"KEYFLOW_MASTER_KEY (32 bytes in base64), KEYFLOW_ADMIN_TOKEN, KEYFLOW_ADMIN_PASSWORD.",
		Example: "  keyflow serve\n  keyflow serve --listen 0.0.0.0:8080 --public-url https://keyflow.example.com --database-url postgres://keyflow@db/keyflow",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.secrets(p.getenv)
			if err := cfg.validate(); err != nil {
				return err
			}
			pipe := newLogPipe(p.stderr)
			defer pipe.close()
			log, err := cfg.logger(pipe)
			if err != nil {
				return err
			}
			if p.getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
			stopProfile, err := startProfile(profile)
			if err != nil {
				return err
			}
			defer stopProfile()
			s, err := newServer(cmd.Context(), cfg, log)
			if err != nil {
				return err
			}
			if err := s.metrics.Register(pipe.metric()); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(p.stdout, "listening on %s\n", cfg.scheme()+"://"+dialable(s.listener.Addr()))
			if s.setup != "" {
				_, _ = fmt.Fprintf(p.stdout, "first start: open %s to create the administrator\n", s.setup)
			}
			if err := s.run(cmd.Context()); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
	cfg.serverFlags(cmd.Flags())
	cmd.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile to this file at the end")
	_ = cmd.Flags().MarkHidden("cpu-profile") // for make bench
	return cmd
}

// startProfile writes a pprof CPU profile until stop; no file, no profile.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, usagef("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, usagef("--cpu-profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
