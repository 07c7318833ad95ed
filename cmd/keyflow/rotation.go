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
		Example: "  keyflow credentials versions erp",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var all page[received[credentials.VersionInfo]]
			if err := c.call(cmd.Context(), http.MethodGet, credentialPath(args[0], "/versions"), nil, &all); err != nil {
				return err
			}
			var lines [][]string
			for _, item := range all.Items {
				v := item.value
				current := "no"
				if v.Current {
					current = "yes"
				}
				lines = append(lines, []string{fmt.Sprint(v.Version), current, string(v.Origin), clock(&v.CreatedAt), v.CreatedBy})
			}
			return show(cmd, all.Items, rows("VERSION\tCURRENT\tORIGIN\tCREATED\tBY", lines, "no versions"))
		}),
	}
}

func credentialsRollback(p process) *cobra.Command {
	var version int
	var yes bool
	cmd := &cobra.Command{
		Use: "rollback ID", Short: "Make the fields of an earlier version the current ones", Args: oneOf("ID"),
		Long: "Makes a new version with the fields of an earlier one, for every workflow at once. Without --version it is\n" +
			"the former version, while the grace period of the credential lasts.",
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
	cmd.Flags().IntVar(&version, "version", 0, "the version to restore (see: keyflow credentials versions ID)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func credentialsCandidate(p process) *cobra.Command {
	var f credentialFlags
	var drop bool
	cmd := &cobra.Command{
		Use: "candidate ID", Short: "Store new values beside the current ones, to test and promote them", Args: oneOf("ID"),
		Long: "Runs use the candidate only after it is promoted. Other fields are those of the current version.\n" +
			"Changing the current version drops the candidate.",
		Example: "  keyflow credentials candidate erp --secret password      # asks for the new password\n" +
			"  echo '{\"fields\":{\"password\":\"new\"}}' | keyflow credentials candidate erp --from-file -\n" +
			"  keyflow credentials test erp --candidate\n  keyflow credentials promote erp --fall-back",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var out credentials.Credential
			if drop {
				if err := c.call(cmd.Context(), http.MethodDelete, credentialPath(args[0], "/candidate"), nil, &out); err != nil {
					return err
				}
				return show(cmd, out, line("credential %s: the candidate was dropped", out.ID))
			}
			in, err := f.changes(cmd, p, c, args[0])
			if err != nil {
				return err
			}
			fields, _ := in["fields"].(map[string]any)
			if len(fields) == 0 {
				return usagef("nothing to change: give --secret FIELD (asks, or reads stdin), --field name=value, --ref name=reference or --from-file")
			}
			body := map[string]any{"fields": fields}
			if err := c.call(cmd.Context(), http.MethodPut, credentialPath(args[0], "/candidate"), body, &out); err != nil {
				return err
			}
			return show(cmd, out, line("credential %s has a candidate; next: keyflow credentials promote %s", out.ID, out.ID))
		}),
	}
	f.bindFields(cmd)
	cmd.Flags().StringVar(&f.fromFile, "from-file", "", "JSON with fields, secrets included; - is stdin")
	cmd.Flags().StringArrayVar(&f.prompts, "secret", nil, "secret field to ask for, or to read from stdin (repeat to be asked for several)")
	cmd.Flags().BoolVar(&drop, "drop", false, "drop the candidate")
	return cmd
}

func credentialsPromote(p process) *cobra.Command {
	var how credentials.Promotion
	var yes bool
	cmd := &cobra.Command{
		Use: "promote ID", Short: "Test the candidate and make it the current version", Args: oneOf("ID"),
		Long: "Tests the candidate and makes it the current version of every workflow at once; when the test fails, nothing\n" +
			"changes. During the grace period, keyflow credentials rollback ID restores the former version.",
		Example: "  keyflow credentials promote erp --fall-back\n  keyflow credentials promote erp --force --yes",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if err := confirm(p, yes, fmt.Sprintf("Use the candidate of credential %s in every workflow from now on?", args[0])); err != nil {
				return err
			}
			var out credentials.Credential
			if err := c.call(cmd.Context(), http.MethodPost, credentialPath(args[0], "/promote"), how, &out); err != nil {
				return err
			}
			return show(cmd, out, created(out))
		}),
	}
	cmd.Flags().BoolVar(&how.FallBack, "fall-back", false, "restore the former values automatically when the new ones are refused")
	cmd.Flags().BoolVar(&how.Force, "force", false, "promote without a test")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
