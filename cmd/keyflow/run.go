package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

func runCommand(p process) *cobra.Command {
	var cfg config
	var input string
	var viaServer bool
	cmd := &cobra.Command{
		Use: "run FILE|ID", Short: "Run a workflow and show its steps; exits 1 when it fails", Args: oneOf("FILE or workflow ID"),
		Long: "A file runs here, in this process, with the credentials of the data folder. An ID runs on the server.\n" +
			"The tree of steps goes to stderr, the output to stdout as JSON.",
		Example: "  keyflow run sync.json --input '{\"ids\": [1, 2]}' --egress-allow private\n  keyflow run sync-leads --input @input.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cfg.validate(); err != nil {
				return err
			}
			in, err := runInput(p, input)
			if err != nil {
				return err
			}
			if isFile(args[0]) && !viaServer {
				cfg.secrets(p.getenv)
				return runFile(cmd, p, cfg, args[0], in)
			}
			c, err := newClient(p)
			if err != nil {
				return err
			}
			return runOnServer(cmd, p, c, args[0], in)
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "the run's input: JSON, @file, or - for stdin")
	cmd.Flags().BoolVar(&viaServer, "via-server", false, "apply the file on the server and run it there")
	cmd.Flags().Bool("watch", true, "follow the run to its end")
	cfg.storageFlags(cmd.Flags())
	return cmd
}

// isFile reports whether an argument is a file: an ID has neither a dot nor a slash.
func isFile(arg string) bool { return strings.ContainsAny(arg, "./") }

func runInput(p process, value string) (json.RawMessage, error) {
	if value == "" {
		return nil, nil
	}
	data, err := readArgument(p, value)
	if err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, usagef("--input is not valid JSON; quote it for the shell, or use --input @FILE")
	}
	return data, nil
}

// runFile runs a definition in this process. When there is no data folder it does not create one.
func runFile(cmd *cobra.Command, p process, cfg config, file string, input json.RawMessage) (err error) {
	files, err := readFiles(p, []string{file})
	if err != nil {
		return err
	}
	checkOffline(cmd.Context(), files)
	if err := refuse(p.stderr, files); err != nil {
		return err
	}
	if _, statErr := os.Stat(cfg.dataDir); errors.Is(statErr, fs.ErrNotExist) && cfg.databaseURL == "" {
		dir, err := os.MkdirTemp("", "keyflow-run-")
		if err != nil {
			return &exitError{exitCannotStart, err}
		}
		defer func() { _ = os.RemoveAll(dir) }()
		cfg.dataDir = dir
	}
	if !cmd.Flags().Changed("log-level") {
		cfg.logLevel = "error"
	}
	log, err := cfg.logger(p.stderr)
	if err != nil {
		return err
	}
	c, err := newCore(cmd.Context(), cfg, log, &url.URL{Scheme: "http", Host: "localhost"}, nil)
	if fault.Is(err, fault.Conflict) {
		return &exitError{exitCannotStart, fmt.Errorf("%s; or run on that server: keyflow run ID, or keyflow run %s --via-server", fault.Message(err), file)}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.serve(cmd.Context(), func(ctx context.Context) error {
		return runHere(ctx, cmd, p, c.engine, files[0].definition, input)
	})
}

func runHere(ctx context.Context, cmd *cobra.Command, p process, e *engine.Engine, d *workflows.Definition, input json.RawMessage) error {
	d.StartScope = "/" // who can read the data folder may start everything in it
	started, err := e.StartDefinition(ctx, d, engine.Start{Input: input})
	if err != nil {
		return &exitError{exitUsage, err}
	}
	updates, err := e.Watch(ctx, started.Run)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	tree := newTree(p.stderr, string(d.ID))
	for u := range updates {
		if u.Step != nil {
			tree.step(stepOf(*u.Step))
		}
	}
	r, err := e.Wait(ctx, started.Run)
	if err != nil {
		cancelCtx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		return &exitError{exitFailed, errors.Join(errors.New("interrupted"), e.Cancel(cancelCtx, started.Run))}
	}
	return tree.end(cmd.OutOrStdout(), runOf(r))
}

func stepOf(s runs.Step) stepItem {
	item := stepItem{
		Node: string(s.Node), Status: string(s.Status), Attempt: len(s.Attempts),
		StartedAt: s.StartedAt, FinishedAt: s.FinishedAt,
	}
	if s.Index != runs.NoIndex {
		item.Index = &s.Index
	}
	if s.Error != nil {
		item.Error = &runError{Code: s.Error.Code, Message: s.Error.Message}
	}
	return item
}

func runOf(r runs.Run) runItem {
	item := runItem{
		ID: r.ID.String(), Workflow: string(r.Workflow), Status: string(r.Status), Output: r.Output,
		StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
	}
	if r.Error != nil {
		item.Error = &runError{Node: string(r.Error.Node), Code: r.Error.Code, Message: r.Error.Message}
	}
	return item
}

// runOnServer starts a run by ID, or applies a file first, and follows it.
func runOnServer(cmd *cobra.Command, p process, c *client, arg string, input json.RawMessage) error {
	id := arg
	if isFile(arg) {
		plan, err := makePlan(cmd.Context(), p, c, scope{paths: []string{arg}})
		if err == nil {
			err = execute(cmd.Context(), c, plan)
		}
		if err != nil {
			return err
		}
		id = plan[0].ID
	}
	body := map[string]any{}
	if input != nil {
		body["input"] = input
	}
	var started received[runItem]
	if err := c.call(cmd.Context(), http.MethodPost, workflowPath(id, "/runs"), body, &started); err != nil {
		return err
	}
	if watch, _ := cmd.Flags().GetBool("watch"); !watch {
		return show(cmd, started, line("run %s %s", started.value.ID, started.value.Status))
	}
	return follow(cmd, p, c, started.value.ID)
}
