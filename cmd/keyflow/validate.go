package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"keyflow/engine"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/triggers"
	"keyflow/workflows"
)

func validateCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE…|DIR", Short: "Check workflow files, offline", Args: cobra.MinimumNArgs(1),
		Long:    "Prints one line per problem: file:line:col: pointer: message. Exits 2 when there is one.",
		Example: "  keyflow validate sync.json\n  keyflow validate workflows/",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := definitionFiles(args)
			if err != nil {
				return err
			}
			checked := make([]checkedFile, 0, len(files))
			total := 0
			for _, f := range files {
				source, err := readFile(p, f)
				if err != nil {
					return err
				}
				c := checkFile(cmd, f, source)
				total += len(c.Errors)
				checked = append(checked, c)
			}
			if err := show(cmd, checked, validationReport(checked)); err != nil {
				return err
			}
			if total > 0 {
				return &exitError{exitUsage, fmt.Errorf("%s in %s", count(total, "problem"), count(len(files), "file"))}
			}
			return nil
		},
	}
}

type checkedFile struct {
	File     string              `json:"file"`
	Valid    bool                `json:"valid"`
	Errors   []workflows.Problem `json:"errors"`
	Warnings []workflows.Problem `json:"warnings"`
}

// offlineCheckers are the checks that need no server.
func offlineCheckers(types *nodes.Registry) []workflows.Checker {
	return []workflows.Checker{engine.NewChecker(types), triggers.NewChecker(nil)}
}

func checkFile(cmd *cobra.Command, file string, source []byte) checkedFile {
	catalog := workflows.NewCatalog(nil, workflows.CatalogOptions{Checkers: offlineCheckers(nodes.NewRegistry(standard.Types()...))})
	problems, warnings := catalog.Validate(cmd.Context(), source)
	return checkedFile{File: file, Valid: len(problems) == 0, Errors: problems, Warnings: warnings}
}

func validationReport(checked []checkedFile) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, c := range checked {
			printProblems(w, c.File, c.Errors)
			for _, warning := range c.Warnings {
				_, _ = fmt.Fprintf(w, "%s:%d:%d: warning: %s: %s\n", c.File, max(warning.Line, 1), max(warning.Column, 1), warning.Path, warning.Message)
			}
			if c.Valid {
				_, _ = fmt.Fprintf(w, "%s: ok\n", c.File)
			}
		}
		return nil
	}
}
