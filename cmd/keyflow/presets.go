package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"keyflow/credentials/authtype"
	"keyflow/credentials/presets"
)

func credentialsPresets(p process) *cobra.Command {
	return &cobra.Command{
		Use: "presets", Short: "List the presets: almost complete credentials for known providers", Args: cobra.NoArgs,
		Example: "  keyflow credentials presets\n  keyflow credentials create --id marketo --preset marketo --blank tenant=123-ABC-456 --field client_id=7fd2a1",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			items, err := readPresets(cmd, c)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, it := range items {
				names := make([]string, len(it.Blanks))
				for j, b := range it.Blanks {
					names[j] = b.Name
				}
				lines[i] = []string{it.ID, string(it.Type), strings.Join(names, ","), it.Summary}
			}
			return show(cmd, items, rows("PRESET\tTYPE\tBLANKS\tFOR", lines, "no presets"))
		}),
	}
}

func readPresets(cmd *cobra.Command, c *client) ([]presets.Preset, error) {
	var all page[presets.Preset]
	err := c.call(cmd.Context(), http.MethodGet, "/api/v1/credential-presets", nil, &all)
	return all.Items, err
}

// applyPreset adds the values of the preset; those of the file and the flags override them.
func applyPreset(cmd *cobra.Command, c *client, in map[string]any, id string, texts []string) error {
	if id == "" {
		if len(texts) > 0 {
			return usagef("--blank needs --preset")
		}
		return nil
	}
	blanks := make(map[string]string, len(texts))
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return usagef("--blank needs name=value")
		}
		blanks[name] = value
	}
	items, err := readPresets(cmd, c)
	if err != nil {
		return err
	}
	preset, err := presets.Find(items, id)
	if err != nil {
		return usagef("%v", err)
	}
	filled, wrong := preset.Fill(blanks)
	if len(wrong) > 0 {
		lines := make([]string, len(wrong))
		for i, p := range wrong {
			lines[i] = "--blank " + strings.TrimPrefix(p.Path, "/blanks/") + " " + p.Message
		}
		return usagef("%s", strings.Join(lines, "\n"))
	}
	if typ, given := in["type"]; given && typ != string(filled.Type) {
		return usagef("the preset %s is of type %s; leave out --type", id, filled.Type)
	}
	fields, _ := in["fields"].(map[string]any)
	for name, value := range fields {
		filled.Fields[name] = value
	}
	in["type"], in["fields"] = string(filled.Type), filled.Fields
	for key, value := range map[string]any{
		"name": filled.Name, "test_url": filled.TestURL, "allowed_hosts": filled.AllowedHosts,
		"limits": filled.Limits, "failure_rules": filled.FailureRules,
	} {
		if _, given := in[key]; !given {
			in[key] = value
		}
	}
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), preset.Note)
	return nil
}

// applies reports whether a field is shown for these values and the defaults of the others.
func applies(field authtype.Field, t credentialType, fields map[string]any) bool {
	for name, want := range field.ShowIf {
		got, given := fields[name]
		if !given {
			for _, other := range t.Fields {
				if other.Name == name {
					got = other.Default
				}
			}
		}
		if fmt.Sprint(got) != want {
			return false
		}
	}
	return true
}
