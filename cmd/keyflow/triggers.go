package main

import (
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func triggersCommand(p process) *cobra.Command {
	cmd := group("triggers", "Show what starts workflows", "next")
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List triggers with their next fire times", Args: cobra.NoArgs,
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			type trigger struct {
				Workflow string      `json:"workflow"`
				ID       string      `json:"id"`
				Type     string      `json:"type"`
				Enabled  bool        `json:"enabled"`
				Schedule string      `json:"schedule,omitempty"`
				Timezone string      `json:"timezone,omitempty"`
				Next     []time.Time `json:"next,omitempty"`
				URL      string      `json:"url,omitempty"`
			}
			items, err := list[received[trigger]](cmd.Context(), c, "/api/v1/triggers", url.Values{}, 0)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				it := item.value
				next, state := "-", "enabled"
				if len(it.Next) > 0 {
					next = clock(&it.Next[0])
				}
				if !it.Enabled {
					state = "disabled"
				}
				lines[i] = []string{it.Workflow, it.ID, it.Type, state, strings.TrimSpace(it.Schedule + " " + it.Timezone + it.URL), next}
			}
			return show(cmd, items, rows("WORKFLOW\tID\tTYPE\tSTATE\tWHEN OR WHERE\tNEXT", lines, "no triggers; a workflow's definition declares them"))
		}),
	})
	return cmd
}
