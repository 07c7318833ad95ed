package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func runsDelete(p process) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete ID…", Short: "Delete ended runs with their steps and outputs", Args: cobra.MinimumNArgs(1),
		Long: "A running run is refused (cancel it first); the others are deleted. The server deletes old runs itself:\n" +
			"see keyflow serve --keep-runs-for and --keep-runs.",
		Example: "  keyflow runs delete 01a20433-6380-7c45-a07c-a90ef96a4aea --yes",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			what := "run " + args[0]
			if len(args) > 1 {
				what = fmt.Sprintf("%d runs", len(args))
			}
			if err := confirm(p, yes, "Delete "+what+" with steps and outputs? This cannot be undone."); err != nil {
				return err
			}
			deleted := make([]string, 0, len(args))
			var refused error
			for _, id := range args {
				err := c.call(cmd.Context(), http.MethodDelete, runPath(id, ""), nil, nil)
				switch {
				case err == nil:
					deleted = append(deleted, id)
				case refused == nil:
					refused = err
				default:
					_, _ = fmt.Fprintln(p.stderr, "keyflow: "+describe(err))
				}
			}
			if err := show(cmd, map[string]any{"deleted": deleted}, printDeleted(deleted)); err != nil {
				return err
			}
			return refused
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func printDeleted(ids []string) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, id := range ids {
			if _, err := fmt.Fprintf(w, "run %s deleted\n", id); err != nil {
				return err
			}
		}
		return nil
	}
}
