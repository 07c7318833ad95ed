package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func validateCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE…|DIR", Short: "Check workflow files, offline", Args: atLeastOne("FILE or folder"),
		Long: "Prints one line per problem: file:line:col: pointer: message. Exits 2 when there is one.\n" +
			"It also checks that no two files have the same ID or webhook path.",
		Example: "  keyflow validate sync.json\n  keyflow validate workflows/",
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := definitionFiles(args)
			if err != nil {
				return err
			}
			files, err := readFiles(p, names)
			if err != nil {
				return err
			}
			checkOffline(cmd.Context(), files)
			if err := show(cmd, files, validationReport(files)); err != nil {
				return err
			}
			return refuse(io.Discard, files) // the problems were printed as the result
		},
	}
}

func validationReport(files []checkedFile) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, f := range files {
			printProblems(w, f.File, f.Errors)
			for _, warning := range f.Warnings {
				_, _ = fmt.Fprintf(w, "%s:%d:%d: warning: %s%s\n", f.File, max(warning.Line, 1), max(warning.Column, 1), pointerPrefix(warning), warning.Message)
			}
			if f.Valid {
				_, _ = fmt.Fprintf(w, "%s: ok\n", f.File)
			}
		}
		return nil
	}
}
