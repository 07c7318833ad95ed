package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func workflowsCommand(p process) *cobra.Command {
	cmd := group("workflows", "Apply, list, enable and disable workflows on a server", "graph")
	cmd.AddCommand(
		workflowsApply(p), workflowsList(p), workflowsGet(p), workflowsVersions(p),
		workflowsSwitch(p, "enable", "Let the triggers of a workflow fire"),
		workflowsSwitch(p, "disable", "Stop the triggers of a workflow; a manual start still works"),
		workflowsDelete(p),
	)
	return cmd
}

func workflowPath(id string, rest string) string {
	return "/api/v1/workflows/" + url.PathEscape(id) + rest
}

// workflowItem is a workflow as the API lists it.
type workflowItem struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Folder    string     `json:"folder"`
	Version   int        `json:"version"`
	Enabled   bool       `json:"enabled"`
	UpdatedAt *time.Time `json:"updated_at"`
}

func workflowsList(p process) *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use: "list", Short: "List workflows", Args: cobra.NoArgs,
		Example: "  keyflow workflows list --folder /marketing",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			q := url.Values{}
			setIf(q, "folder", folder)
			items, err := list[received[workflowItem]](cmd.Context(), c, "/api/v1/workflows", q, 0)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				it := item.value
				lines[i] = []string{it.ID, it.Folder, fmt.Sprint(it.Version), fmt.Sprint(it.Enabled), clock(it.UpdatedAt), it.Name}
			}
			return show(cmd, items, rows("ID\tFOLDER\tVERSION\tENABLED\tUPDATED\tNAME", lines, "no workflows yet; add one with: keyflow workflows apply FILE"))
		}),
	}
	cmd.Flags().StringVar(&folder, "folder", "", "only this folder and below")
	return cmd
}

func workflowsGet(p process) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show a workflow with its definition", Args: oneOf("ID"),
		Example: "  keyflow workflows get sync-leads",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var it json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, workflowPath(args[0], ""), nil, &it); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), it)
		}),
	}
}

func workflowsVersions(p process) *cobra.Command {
	return &cobra.Command{
		Use: "versions ID", Short: "List the versions of a workflow", Args: oneOf("ID"),
		Example: "  keyflow workflows versions sync-leads",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var all page[struct {
				Version   int        `json:"version"`
				CreatedAt *time.Time `json:"created_at"`
				CreatedBy string     `json:"created_by"`
			}]
			if err := c.call(cmd.Context(), http.MethodGet, workflowPath(args[0], "/versions"), nil, &all); err != nil {
				return err
			}
			var lines [][]string
			for _, v := range all.Items {
				lines = append(lines, []string{fmt.Sprint(v.Version), clock(v.CreatedAt), v.CreatedBy})
			}
			return show(cmd, all.Items, rows("VERSION\tCREATED\tBY", lines, "no versions"))
		}),
	}
}

func workflowsSwitch(p process, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: short, Args: oneOf("ID"),
		Example: "  keyflow workflows " + verb + " sync-leads",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var out json.RawMessage
			if err := c.call(cmd.Context(), http.MethodPost, workflowPath(args[0], "/"+verb), nil, &out); err != nil {
				return err
			}
			return show(cmd, out, line("workflow %s %sd", args[0], verb))
		}),
	}
}

func workflowsDelete(p process) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete ID", Short: "Delete a workflow; its runs and their history stay", Args: oneOf("ID"),
		Example: "  keyflow workflows delete sync-leads --yes",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if err := confirm(p, yes, fmt.Sprintf("Delete workflow %s? This cannot be undone.", args[0])); err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, workflowPath(args[0], ""), nil, nil); err != nil {
				return err
			}
			return show(cmd, map[string]any{"id": args[0], "deleted": true}, line("workflow %s deleted", args[0]))
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
