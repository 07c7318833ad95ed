package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyflow/internal/fault"
	"keyflow/internal/suggest"
)

// process is what a command gets from the operating system; tests provide it.
type process struct {
	args   []string
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// The exit codes of every command (docs/reference/command-line.md).
const (
	exitOK          = 0
	exitFailed      = 1 // the run failed, a test failed, not ready, other refusals of the server
	exitUsage       = 2 // wrong usage, invalid file, the server's 400 and 422
	exitCannotStart = 3 // key, database, port or data folder
	exitUnreachable = 4 // no server answers
)

// exitError carries an exit code; its text, when there is any, goes to stderr.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, p process) int {
	root := newRoot(p)
	root.SetArgs(p.args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitUsage // cobra's own errors are about usage
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
	}
	if text := describe(err); text != "" {
		_, _ = fmt.Fprintln(p.stderr, "keyflow: "+text)
	}
	return code
}

// describe renders an error for people: the message of a fault and its problems, one a line.
func describe(err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Message == "" {
		return err.Error()
	}
	var b strings.Builder
	b.WriteString(f.Message)
	for _, problem := range f.Problems {
		b.WriteString("\n  ")
		if problem.Path != "" {
			b.WriteString(problem.Path + ": ")
		}
		b.WriteString(problem.Message)
	}
	if f.Err != nil && len(f.Problems) == 0 {
		b.WriteString(" (" + f.Err.Error() + ")")
	}
	return b.String()
}

func newRoot(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   "keyflow",
		Short: "Workflow automation with a centralized credential store",
		Long: "Keyflow runs workflows written as JSON. Their nodes name credentials by ID; the secret is\n" +
			"looked up at the moment of each call, so one change takes effect everywhere at once.",
		Example:       "  keyflow demo                 # try it without any set-up\n  keyflow serve                # server, API and admin page on http://127.0.0.1:8080\n  keyflow validate sync.json   # check a workflow offline",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	asGroup(root, "worker", "users", "migrate", "workers")
	root.PersistentFlags().String("output", "table", "format of results: table or json")
	root.AddCommand(
		serveCommand(p), demoCommand(p), validateCommand(p), runCommand(p),
		workflowsCommand(p), credentialsCommand(p), runsCommand(p), triggersCommand(p), eventsCommand(p), tokensCommand(p), keysCommand(p), backupCommand(p), restoreCommand(p),
		schemaCommand(p), openapiCommand(p), versionCommand(p), healthCommand(p),
	)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if out := outputOf(cmd); out != "table" && out != "json" {
			return usagef("--output must be table or json, not %q", out)
		}
		return bindEnvironment(cmd.Flags(), p.getenv)
	}
	return root
}

func outputOf(cmd *cobra.Command) string {
	out, err := cmd.Flags().GetString("output")
	if err != nil {
		return "table"
	}
	return out
}

// bindEnvironment gives each flag that was not set the value of its KEYFLOW_ variable.
func bindEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "KEYFLOW_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := getenv(name); v != "" && !f.Changed {
			if err := flags.Set(f.Name, v); err != nil {
				errs = append(errs, usagef("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// group is a command that has only subcommands; later names subcommands of later releases.
func group(use, short string, later ...string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	asGroup(cmd, later...)
	return cmd
}

// asGroup makes an unknown subcommand an error. Cobra would print the help and exit with 0.
func asGroup(cmd *cobra.Command, later ...string) {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return nil
		case slices.Contains(later, args[0]):
			return usagef("%s %s is not supported by this release", cmd.CommandPath(), args[0])
		}
		var known []string
		for _, c := range cmd.Commands() {
			known = append(known, c.Name())
		}
		return usagef("unknown command %q for %q%s; see %s --help", args[0], cmd.CommandPath(), suggest.DidYouMean(args[0], known), cmd.CommandPath())
	}
}

// atLeastOne is a rule for positional arguments, with a message that names the missing one.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s needs at least one %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

// runAndNode are the arguments of a command that works on one node of a run.
func runAndNode(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s needs a run ID and a NODE; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// oneOf is a rule for positional arguments, with a message that names the missing one.
func oneOf(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s needs exactly one %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}
