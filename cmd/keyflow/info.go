package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"keyflow/credentials/document"
	"keyflow/workflows"
)

// version is set by the release build (-ldflags "-X main.version=…").
var version = "development" //nolint:gochecknoglobals // the linker's only way in

func versionCommand(process) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: "  keyflow version --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			revision := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			out := map[string]string{"version": version, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return show(cmd, out, line("keyflow %s (%s, %s)", version, out["go"], out["platform"]))
		},
	}
}

func schemaCommand(process) *cobra.Command {
	cmd := group("schema", "Print JSON Schemas, for editors and checks")
	for _, each := range []struct {
		use, of string
		make    func() ([]byte, error)
	}{
		{"workflow", "a workflow file", workflows.Schema},
		{"credential", "a credential as written for create --from-file", document.Schema},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: each.use, Short: "Print the JSON Schema (2020-12) of " + each.of, Args: cobra.NoArgs,
			Example: "  keyflow schema " + each.use + " > " + each.use + ".schema.json",
			RunE: func(cmd *cobra.Command, _ []string) error {
				schema, err := each.make()
				if err != nil {
					return &exitError{exitFailed, err}
				}
				return printJSON(cmd.OutOrStdout(), json.RawMessage(schema))
			},
		})
	}
	return cmd
}

func openapiCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use: "openapi", Short: "Print the server's OpenAPI 3.1 document", Args: cobra.NoArgs,
		Example: "  keyflow openapi > openapi.json",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			var doc json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, "/openapi.json", nil, &doc); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), doc)
		}),
	}
}

func healthCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask a server whether it is ready; exits 1 when it is not, 4 when no server answers", Args: cobra.NoArgs,
		Example: "  keyflow health && echo ready",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			var out json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, "/readyz", nil, &out); err != nil {
				return err
			}
			return show(cmd, out, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "ready:", c.base)
				return err
			})
		}),
	}
}
