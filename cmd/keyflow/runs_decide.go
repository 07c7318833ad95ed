package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// decision is what a person decided about a node that waits for approval.
type decision struct {
	Approved bool   `json:"approved"`
	By       string `json:"by"`
	Comment  string `json:"comment"`
}

func runsApprove(p process) *cobra.Command {
	return runsDecide(p, "approve", "approved", "Approve what a run waits for; it continues with approved: true")
}

func runsReject(p process) *cobra.Command {
	return runsDecide(p, "reject", "rejected", "Reject what a run waits for; it continues with approved: false")
}

func runsDecide(p process, verb, done, short string) *cobra.Command {
	var comment string
	cmd := &cobra.Command{
		Use: verb + " ID NODE", Short: short, Args: runAndNode,
		Long: short + ".\nNODE is the approval node that waits; keyflow runs get ID shows it with the status waiting.\n" +
			"The first decision counts; a second one is refused.",
		Example: "  keyflow runs " + verb + " 01a20433-6380-7c45-a07c-a90ef96a4aea review --comment \"checked by phone\"",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var out received[decision]
			path := runPath(args[0], "/steps/"+url.PathEscape(args[1])+"/"+verb)
			if err := c.call(cmd.Context(), http.MethodPost, path, map[string]string{"comment": comment}, &out); err != nil {
				return err
			}
			return show(cmd, out, line("run %s: %s %s by %s", args[0], args[1], done, out.value.By))
		}),
	}
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the run's history and later nodes")
	return cmd
}
