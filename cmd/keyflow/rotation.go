package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"keyflow/credentials"
)

func credentialsVersions(p process) *cobra.Command {
	return &cobra.Command{
		Use: "versions ID", Short: "List the versions of a credential's fields", Args: oneOf("ID"),
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var all page[received[credentials.VersionInfo]]
			if err := c.call(cmd.Context(), http.MethodGet, credentialPath(args[0], "/versions"), nil, &all); err != nil {
				return err
			}
			var lines [][]string
			for _, item := range all.Items {
				v := item.value
				current := ""
				if v.Current {
					current = "current"
				}
				lines = append(lines, []string{fmt.Sprint(v.Version), current, string(v.Origin), clock(&v.CreatedAt), v.CreatedBy})
			}
			return show(cmd, all.Items, rows("VERSION\t\tORIGIN\tCREATED\tBY", lines, "no versions"))
		}),
	}
}

func credentialsRollback(p process) *cobra.Command {
	var version int
	var yes bool
	cmd := &cobra.Command{
		Use: "rollback ID", Short: "Make the fields of an earlier version the current ones", Args: oneOf("ID"),
		Long: "The fields of an earlier version become a new version, in force for every workflow at once.\n" +
			"Without --version it is the former one, as long as the credential's grace lasts.",
		Example: "  keyflow credentials rollback erp\n  keyflow credentials rollback erp --version 3 --yes",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			which := "the former version"
			body := map[string]any{}
			if cmd.Flags().Changed("version") {
				which, body["version"] = fmt.Sprintf("version %d", version), version
			}
			if err := confirm(p, yes, fmt.Sprintf("Use %s of credential %s in every workflow from now on?", which, args[0])); err != nil {
				return err
			}
			var out credentials.Credential
			if err := c.call(cmd.Context(), http.MethodPost, credentialPath(args[0], "/rollback"), body, &out); err != nil {
				return err
			}
			return show(cmd, out, created(out))
		}),
	}
	cmd.Flags().IntVar(&version, "version", 0, "the version to go back to (see: keyflow credentials versions ID)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
