package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyflow/cmd/keyflow/demo"
	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/internal/identity"
	"keyflow/workflows"
)

func demoCommand(p process) *cobra.Command {
	var once bool
	var listen string
	cmd := &cobra.Command{
		Use: "demo", Short: "See it work: a server, a protected API and workflows that call it", Args: cobra.NoArgs,
		Long: "Starts a server on SQLite in a temporary folder and a local API with Basic Auth, API keys, OAuth 2.0 and\n" +
			"Marketo-like answers; stores a credential for each, runs a workflow with each, changes a password at the\n" +
			"API and in the store, and runs again. The page stays open until Ctrl-C; then all of it is removed.",
		Example: "  keyflow demo\n  keyflow demo --once\n  keyflow demo api     # only a small API, for workflows of your own",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir, err := os.MkdirTemp("", "keyflow-demo-")
			if err != nil {
				return &exitError{exitCannotStart, err}
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			return runDemo(cmd.Context(), p, demoOptions{dir: dir, listen: listen, once: once})
		},
	}
	cmd.AddCommand(demoAPICommand(p))
	cmd.Flags().BoolVar(&once, "once", false, "exit after the runs")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the page; when it is in use, a free port")
	return cmd
}

type demoOptions struct {
	dir, listen string
	once        bool
}

func runDemo(ctx context.Context, p process, o demoOptions) error {
	api, base, stopAPI, err := startDemoAPI(ctx)
	if err != nil {
		return err
	}
	defer stopAPI()
	cfg := config{
		httpConfig:    httpConfig{listen: o.listen},
		storageConfig: storageConfig{dataDir: o.dir},
		egressConfig:  egressConfig{egressAllow: []string{strings.TrimPrefix(base, "http://")}},
		logConfig:     logConfig{logFormat: "text", logLevel: "error"},
		concurrency:   64,
	}
	log, err := cfg.logger(p.stderr)
	if err != nil {
		return err
	}
	s, err := newServer(ctx, cfg, log)
	if e, ok := errors.AsType[*exitError](err); ok && e.code == exitCannotStart && o.listen != "" {
		cfg.listen = "127.0.0.1:0"
		s, err = newServer(ctx, cfg, log)
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.run(ctx) }()
	err = showDemo(ctx, p.stdout, &demoRun{api: api, base: base, core: s.core})
	if err == nil && !o.once {
		_, _ = fmt.Fprintf(p.stdout, "\nThe page is open at http://%s\nCreate the administrator: %s\nCtrl-C ends the demo and removes everything.\n",
			dialable(s.listener.Addr()), s.setup)
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, <-served)
}

// startDemoAPI serves the protected API on a free loopback port.
func startDemoAPI(ctx context.Context) (api *demo.API, base string, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, &exitError{exitCannotStart, err}
	}
	api = demo.NewAPI()
	srv := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }() // ends with Close
	return api, "http://" + l.Addr().String(), func() { _ = srv.Close() }, nil
}

type demoRun struct {
	*core
	api  *demo.API
	base string
}

// showDemo creates credentials and workflows, runs them and prints what happened.
func showDemo(ctx context.Context, w io.Writer, d *demoRun) error {
	for _, in := range demo.Credentials(d.base, d.api.Secrets()) {
		if _, err := d.vault.Create(ctx, identity.System(), in); err != nil {
			return &exitError{exitFailed, fmt.Errorf("credential %s: %w", in.ID, err)}
		}
	}
	_, _ = fmt.Fprintf(w, "Keyflow runs on SQLite in a temporary folder; a protected API listens at %s\n\n", d.base)
	_, _ = fmt.Fprintf(w, demoRow, "WORKFLOW", "RUN", "WHAT THE API SAW", "OUTPUT")
	for _, source := range demo.Workflows(d.base) {
		def, problems := workflows.Parse(source)
		if len(problems) > 0 {
			return &exitError{exitFailed, fmt.Errorf("demo workflow: %s", problems[0].Message)}
		}
		if _, err := d.catalog.Apply(ctx, identity.System(), def.ID, source, -1); err != nil {
			return &exitError{exitFailed, fmt.Errorf("workflow %s: %w", def.ID, err)}
		}
		if err := d.row(ctx, w, def.ID); err != nil {
			return err
		}
	}
	return d.rotate(ctx, w)
}

// demoRow is a line of the table: workflow, status, calls, output.
const demoRow = "%-15s %-10s %-56s %s\n"

// rotate shows that one update reaches every call: the password of the API changes and a run is
// refused; the credential is edited once, and the next run succeeds.
func (d *demoRun) rotate(ctx context.Context, w io.Writer) error {
	const workflow = "demo-2-erp"
	password := d.api.ChangePassword()
	_, _ = fmt.Fprintln(w, "\nThe API's password changes:")
	if err := d.row(ctx, w, workflow); err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"fields":{"password":%q}}`, password)
	if _, err := d.vault.Patch(ctx, identity.System(), credentials.ID("demo-erp"), patch, -1); err != nil {
		return &exitError{exitFailed, err}
	}
	_, _ = fmt.Fprintln(w, "\nThe credential is edited once in the store:")
	return d.row(ctx, w, workflow)
}

// row runs a workflow and prints one line about it.
func (d *demoRun) row(ctx context.Context, w io.Writer, id workflows.ID) error {
	before := len(d.api.Calls())
	started, err := d.engine.Start(ctx, engine.Start{Workflow: id, Input: demo.Input()})
	if err != nil {
		return &exitError{exitFailed, err}
	}
	r, err := d.engine.Wait(ctx, started.Run)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	var saw []string
	for _, c := range d.api.Calls()[before:] {
		saw = append(saw, fmt.Sprintf("%s %d", c.Auth, c.Status))
	}
	result := string(r.Output)
	if r.Error != nil {
		result = r.Error.Code + ": " + r.Error.Message
	}
	_, err = fmt.Fprintf(w, demoRow, id, r.Status, strings.Join(saw, ", "), oneLine(result))
	return err
}
