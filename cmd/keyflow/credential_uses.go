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
		Use: "usages ID", Short: "List the workflows that name or have used a credential", Args: oneOf("ID"),
		Example: "  keyflow credentials usages erp",
		Long:    "BY NAME: yes for workflows that name the ID, no when a node got the ID from a template.\nA credential that is named, or was used in the last 30 days, is deleted only with --force.",
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

// useItem is one request with a credential.
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
		Long:    "The requests of runs with the credential: time, workflow, target, version and fingerprint of the\nsecret, and status of the response. The list is part of the run history.",
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
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many (0: all)")
	return cmd
}
