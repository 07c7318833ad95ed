package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"keyflow/credentials"
)

func credentialsList(p process) *cobra.Command {
	var folder, typ, state string
	var attention, unused bool
	cmd := &cobra.Command{
		Use: "list", Short: "List credentials", Args: cobra.NoArgs,
		Example: "  keyflow credentials list --folder /partners\n" +
			"  keyflow credentials list --attention            # those that need a person or expire within 30 days\n" +
			"  keyflow credentials list --unused --output json  # those unused for 90 days",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			q := url.Values{}
			setIf(q, "folder", folder)
			setIf(q, "type", typ)
			setIf(q, "state", state)
			for name, on := range map[string]bool{"attention": attention, "unused": unused} {
				if on {
					q.Set(name, "true")
				}
			}
			narrowed := len(q) > 0
			items, err := list[received[credentials.Credential]](cmd.Context(), c, "/api/v1/credentials", q, 0)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				it := item.value
				ends := "-"
				if it.Expires != nil {
					ends = clock(&it.Expires.At)
				}
				lines[i] = []string{
					string(it.ID), string(it.Type), it.Folder, string(it.State.Status), ends, fmt.Sprint(it.Version), fmt.Sprint(it.UsedBy), clock(it.LastUsedAt), it.Name,
				}
			}
			empty := "no credentials yet; create one with: keyflow credentials create"
			if narrowed {
				empty = "no credential matches"
			}
			return show(cmd, items, rows("ID\tTYPE\tFOLDER\tSTATE\tEXPIRES\tVERSION\tUSED BY\tLAST USED\tNAME", lines, empty))
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&folder, "folder", "", "only this folder and below")
	fs.StringVar(&typ, "type", "", "only this type, for example oauth2")
	fs.StringVar(&state, "state", "", "only this state, for example refused or expiring")
	fs.BoolVar(&attention, "attention", false, "only those that need a person or expire within 30 days")
	fs.BoolVar(&unused, "unused", false, "only those that no workflow has used for 90 days")
	return cmd
}
