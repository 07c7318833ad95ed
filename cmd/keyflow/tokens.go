package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func tokensCommand(p process) *cobra.Command {
	cmd := group("tokens", "Create, list and revoke API tokens")
	cmd.AddCommand(tokensCreate(p), tokensList(p), tokensRevoke(p))
	return cmd
}

type tokenItem struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Folder     string     `json:"folder"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Token      string     `json:"token,omitempty"`
}

func tokensCreate(p process) *cobra.Command {
	var name, role, folder string
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Create an API token and print it, this once", Args: cobra.NoArgs,
		Example: "  keyflow tokens create --name ci --role editor --folder /marketing --expires 2160h",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			in := map[string]any{"name": name, "role": role, "folder": folder}
			if expires > 0 {
				in["expires_at"] = time.Now().Add(expires).UTC()
			}
			var out received[tokenItem]
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/tokens", in, &out); err != nil {
				return err
			}
			return show(cmd, out, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, out.value.Token)
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "what the token is for (required)")
	cmd.Flags().StringVar(&role, "role", "viewer", "viewer, operator, editor, credential_manager or admin")
	cmd.Flags().StringVar(&folder, "folder", "/", "folder of the role; it includes the folders below")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it is valid (default: until it is revoked)")
	return cmd
}

func tokensList(p process) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List API tokens", Args: cobra.NoArgs,
		Example: "  keyflow tokens list",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			items, err := list[received[tokenItem]](cmd.Context(), c, "/api/v1/tokens", url.Values{}, 0)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				t := item.value
				lines[i] = []string{t.ID, t.Name, t.Role, t.Folder, clock(t.ExpiresAt), clock(t.LastUsedAt)}
			}
			return show(cmd, items, rows("ID\tNAME\tROLE\tFOLDER\tEXPIRES\tLAST USED", lines, "no tokens; create one with: keyflow tokens create --name NAME"))
		}),
	}
}

func tokensRevoke(p process) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Revoke an API token; its next request is refused", Args: oneOf("token ID"),
		Example: "  keyflow tokens revoke 01a20433-6380-7c45-a07c-a90ef96a4aea",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if err := c.call(cmd.Context(), http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			return show(cmd, map[string]any{"id": args[0], "revoked": true}, line("token %s revoked", args[0]))
		}),
	}
}
