package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyflow/credentials"
)

func credentialsUsages(p process) *cobra.Command {
	return &cobra.Command{
		Use: "usages ID", Short: "List the workflows that name a credential, or used it when they ran", Args: oneOf("ID"),
		Long: "BY NAME says that the workflow names the ID; without it the node got the ID from a template.\nA credential that was used in the last 30 days, or is named, is not deleted without --force.",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var all page[received[credentials.Usage]]
			if err := c.call(cmd.Context(), http.MethodGet, credentialPath(args[0], "/usages"), nil, &all); err != nil {
				return err
			}
			var lines [][]string
			for _, item := range all.Items {
				u := item.value
				byName, result := "no", "-"
				if u.Literal {
					byName = "yes"
				}
				if u.LastStatus != nil {
					result = fmt.Sprint(*u.LastStatus)
				}
				if u.LastError != "" {
					result = strings.TrimPrefix(result+" "+u.LastError, "- ")
				}
				lines = append(lines, []string{u.Workflow, u.Node, u.Trigger, byName, clock(u.LastUsedAt), result})
			}
			return show(cmd, all.Items, rows("WORKFLOW\tNODE\tTRIGGER\tBY NAME\tLAST USED\tRESULT", lines, "no workflow names or has used this credential"))
		}),
	}
}

// useItem is one request that carried a credential.
type useItem struct {
	Run         string     `json:"run"`
	Workflow    string     `json:"workflow"`
	Node        string     `json:"node"`
	At          *time.Time `json:"at"`
	Method      string     `json:"method"`
	URL         string     `json:"url"`
	Status      int        `json:"status"`
	Version     int        `json:"version"`
	Fingerprint string     `json:"fingerprint"`
}

func credentialsUses(p process) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "uses ID", Short: "List the requests made with a credential, those of the newest runs first", Args: oneOf("ID"),
		Long:    "Every request of a run that carried the credential: when, by which workflow, where to, with which\nversion and fingerprint of the secret, and the answer's status. It is part of the run history.",
		Example: "  keyflow credentials uses erp --limit 20\n  keyflow credentials uses erp --limit 0 --output json     # all of them",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			items, err := list[received[useItem]](cmd.Context(), c, credentialPath(args[0], "/uses"), url.Values{}, limit)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				u := item.value
				lines[i] = []string{clock(u.At), u.Workflow, u.Node, fmt.Sprint(u.Version), u.Fingerprint, fmt.Sprint(u.Status), u.Method + " " + u.URL, u.Run}
			}
			return show(cmd, items, rows("AT\tWORKFLOW\tNODE\tVERSION\tFINGERPRINT\tSTATUS\tREQUEST\tRUN", lines, "no run has used this credential"))
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many; 0 is all")
	return cmd
}
