package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/internal/jsonvalue"
)

func credentialsCommand(p process) *cobra.Command {
	cmd := group("credentials", "Create, change, test and list credentials on a server")
	cmd.Long = "Secret values come from a prompt without echo, from stdin, or as JSON from --from-file FILE (- is stdin);\nnever from an argument, which every process on the machine can read."
	cmd.AddCommand(
		credentialsList(p), credentialsGet(p), credentialsCreate(p), credentialsUpdate(p), credentialsDelete(p),
		credentialsTest(p), credentialsPresets(p), credentialsRefresh(p), credentialsConnect(p), credentialsUsages(p), credentialsUses(p), credentialsVersions(p),
		credentialsRollback(p), credentialsCandidate(p), credentialsPromote(p), credentialsImport(p), credentialsExport(p),
	)
	return cmd
}

func credentialPath(id string, rest ...string) string {
	return "/api/v1/credentials/" + url.PathEscape(id) + strings.Join(rest, "")
}

func setIf(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}

func credentialsGet(p process) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one credential; secrets only as fingerprints", Args: oneOf("ID"),
		Example: "  keyflow credentials get erp",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var it json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, credentialPath(args[0]), nil, &it); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), it)
		}),
	}
}

// credentialFlags are the parts of a credential that flags can set.
type credentialFlags struct {
	name, folder, description, fromFile, testURL string
	fields, refs, hosts, workflows               []string
	prompts                                      []string // secret fields to ask for; of update and candidate
}

func (f *credentialFlags) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.name, "name", "", "display name")
	fs.StringVar(&f.folder, "folder", "", "folder, for example /partners/acme")
	fs.StringVar(&f.description, "description", "", "description")
	fs.StringVar(&f.testURL, "test-url", "", "URL of a test request")
	f.bindFields(cmd)
	fs.StringArrayVar(&f.hosts, "allowed-host", nil, "host that the secret may be sent to (repeat)")
	fs.StringArrayVar(&f.workflows, "allowed-workflow", nil, "folder/id pattern of workflows that may use it (repeat)")
	fs.StringVar(&f.fromFile, "from-file", "", "JSON of the credential, secrets included; - is stdin")
}

func (f *credentialFlags) bindFields(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.fields, "field", nil, "non-secret field as name=value (repeat)")
	cmd.Flags().StringArrayVar(&f.refs, "ref", nil, "secret field that is stored elsewhere, as name=env:NAME, name=file:/path or name=vault:path#key (repeat)")
}

// input merges the file and the flags; flags override the file.
func (f *credentialFlags) input(p process) (map[string]any, error) {
	in := map[string]any{}
	if f.fromFile != "" {
		data, err := readFile(p, f.fromFile)
		if err != nil {
			return nil, err
		}
		value, err := jsonvalue.Decode(data)
		object, ok := value.(map[string]any)
		if err != nil || !ok {
			return nil, usagef("%s is not a JSON object", f.fromFile)
		}
		in = object
	}
	for key, v := range map[string]string{"name": f.name, "folder": f.folder, "description": f.description, "test_url": f.testURL} {
		if v != "" {
			in[key] = v
		}
	}
	for key, v := range map[string][]string{"allowed_hosts": f.hosts, "allowed_workflows": f.workflows} {
		if v != nil {
			in[key] = v
		}
	}
	return in, nil
}

// mergeFields adds references and --field values; a secret field is refused there.
func (f *credentialFlags) mergeFields(in map[string]any, t credentialType) (map[string]any, error) {
	fields, _ := in["fields"].(map[string]any)
	if fields == nil {
		fields = map[string]any{}
	}
	for _, pair := range f.fields {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--field needs name=value")
		}
		i := slices.IndexFunc(t.Fields, func(f authtype.Field) bool { return f.Name == name })
		switch {
		case i >= 0 && t.Fields[i].Secret:
			return nil, usagef("%s is a secret: it must not be an argument. Leave it out and type it at the prompt or pipe it in, or use --from-file FILE", name)
		case i >= 0 && t.Fields[i].Kind == "boolean":
			fields[name] = value == "true"
		default:
			fields[name] = value
		}
	}
	for _, pair := range f.refs {
		name, ref, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--ref needs name=reference")
		}
		fields[name] = map[string]any{"ref": ref}
	}
	if len(fields) > 0 {
		in["fields"] = fields
	}
	return fields, nil
}

// credentialType is an authentication type as the API describes it.
type credentialType struct {
	ID     string           `json:"id"`
	Fields []authtype.Field `json:"fields"`
}

func typeOf(cmd *cobra.Command, c *client, id any) (credentialType, error) {
	var all page[credentialType]
	if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/credential-types", nil, &all); err != nil {
		return credentialType{}, err
	}
	var known []string
	for _, t := range all.Items {
		if t.ID == id {
			return t, nil
		}
		known = append(known, t.ID)
	}
	return credentialType{}, usagef("--type must be one of %s", strings.Join(known, ", "))
}

func credentialsCreate(p process) *cobra.Command {
	var f credentialFlags
	var id, typ, preset string
	var blanks []string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a credential", Args: cobra.NoArgs,
		Example: "  keyflow credentials create --id erp --type basic_auth --field username=it@acme.kr --allowed-host erp.acme.kr\n" +
			"  pass show erp | keyflow credentials create --id erp --type basic_auth --field username=it@acme.kr --allowed-host erp.acme.kr\n" +
			"  keyflow credentials create --id erp --type basic_auth --field username=it --ref password=env:ERP_PASSWORD --allowed-host erp.acme.kr\n" +
			"  keyflow credentials create --id marketo --preset marketo --blank tenant=123-ABC-456 --field client_id=7fd2a1\n" +
			"  keyflow credentials create --from-file erp.json\n  pass show erp.json | keyflow credentials create --from-file -",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			in, err := f.input(p)
			if err != nil {
				return err
			}
			setDefault(in, "id", id)
			setDefault(in, "type", typ)
			if err := applyPreset(cmd, c, in, preset, blanks); err != nil {
				return err
			}
			t, err := typeOf(cmd, c, in["type"])
			if err != nil {
				return err
			}
			fields, err := f.mergeFields(in, t)
			if err != nil {
				return err
			}
			if f.fromFile == "" {
				if err := askSecrets(p, t, fields); err != nil {
					return err
				}
			}
			in["fields"] = fields
			var out credentials.Credential
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/credentials", in, &out); err != nil {
				return err
			}
			return show(cmd, out, created(out))
		}),
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&id, "id", "", "ID that workflows name; it never changes")
	cmd.Flags().StringVar(&typ, "type", "", "one of "+strings.Join(authtype.Names(), ", "))
	cmd.Flags().StringVar(&preset, "preset", "", "start from a preset, for example marketo (see: keyflow credentials presets)")
	cmd.Flags().StringArrayVar(&blanks, "blank", nil, "blank of the preset as name=value (repeat)")
	return cmd
}

func created(c credentials.Credential) func(io.Writer) error {
	return func(w io.Writer) error {
		_, _ = fmt.Fprintf(w, "credential %s, version %d, state %s\n", c.ID, c.Version, c.State.Status)
		for _, warning := range c.Warnings {
			_, _ = fmt.Fprintln(w, "warning:", oneLine(warning))
		}
		if c.RedirectURL != "" {
			_, _ = fmt.Fprintf(w, "redirect URL to register at the provider: %s\nthen: keyflow credentials connect %s\n", c.RedirectURL, c.ID)
		}
		return nil
	}
}

func setDefault(in map[string]any, key, value string) {
	if value != "" {
		in[key] = value
	}
}

func credentialsUpdate(p process) *cobra.Command {
	var f credentialFlags
	var bulk importFlags
	cmd := &cobra.Command{
		Use: "update ID | update --folder FOLDER --from-file FILE", Short: "Change a credential; other fields stay as they are",
		Long: "With an ID, changes one credential. Without, changes credentials of one folder from a JSON or CSV file that\n" +
			"lists their ids and new values, all or none.",
		Args: cobra.MaximumNArgs(1),
		Example: "  keyflow credentials update erp --secret password      # asks for the new password\n" +
			"  pass show erp | keyflow credentials update erp --secret password\n" +
			"  echo '{\"fields\":{\"password\":\"new\"}}' | keyflow credentials update erp --from-file -\n" +
			"  keyflow credentials update --folder /clouds/aws --from-file keys.csv",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if len(args) == 0 {
				return f.updateFolder(cmd, p, c, bulk)
			}
			if bulk != (importFlags{}) {
				return usagef("--format, --dry-run and --yes are for updates of a folder; leave out the ID or them")
			}
			return f.updateOne(cmd, p, c, args[0])
		}),
	}
	f.bind(cmd)
	bulk.bind(cmd)
	cmd.Flags().StringArrayVar(&f.prompts, "secret", nil, "secret field to ask for, or to read from stdin (repeat to be asked for several)")
	return cmd
}

// updateOne changes one credential.
func (f *credentialFlags) updateOne(cmd *cobra.Command, p process, c *client, id string) error {
	in, err := f.changes(cmd, p, c, id)
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return usagef("nothing to change: give --secret FIELD (asks, or reads stdin), --field name=value, --from-file FILE or another flag")
	}
	var out credentials.Credential
	if err := c.call(cmd.Context(), http.MethodPatch, credentialPath(id), in, &out); err != nil {
		return err
	}
	return show(cmd, out, created(out))
}

// changes returns the changes of a credential as a merge patch; it asks for secrets.
func (f *credentialFlags) changes(cmd *cobra.Command, p process, c *client, id string) (map[string]any, error) {
	if f.fromFile == "-" && len(f.prompts) > 0 {
		return nil, usagef("--from-file - and --secret both read stdin: put the secret into the JSON, or leave out --from-file")
	}
	in, err := f.input(p)
	if err != nil {
		return nil, err
	}
	var before credentials.Credential
	if err := c.call(cmd.Context(), http.MethodGet, credentialPath(id), nil, &before); err != nil {
		return nil, err
	}
	t, err := typeOf(cmd, c, string(before.Type))
	if err != nil {
		return nil, err
	}
	fields, err := f.mergeFields(in, t)
	if err != nil {
		return nil, err
	}
	if len(f.prompts) > 0 {
		if err := askNamed(p, t, f.prompts, fields); err != nil {
			return nil, err
		}
		in["fields"] = fields
	}
	return in, nil
}

func credentialsDelete(p process) *cobra.Command {
	var force, yes bool
	cmd := &cobra.Command{
		Use: "delete ID", Short: "Delete a credential and its secrets", Args: oneOf("ID"),
		Example: "  keyflow credentials delete erp --yes",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if err := confirm(p, yes, fmt.Sprintf("Delete credential %s and its secrets? This cannot be undone.", args[0])); err != nil {
				return err
			}
			path := credentialPath(args[0])
			if force {
				path += "?force=true"
			}
			if err := c.call(cmd.Context(), http.MethodDelete, path, nil, nil); err != nil {
				return err
			}
			return show(cmd, map[string]any{"id": args[0], "deleted": true}, line("credential %s deleted", args[0]))
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "delete it although workflows use it")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func credentialsTest(p process) *cobra.Command {
	var candidate bool
	cmd := &cobra.Command{
		Use: "test ID", Short: "Test a credential; exits 1 when it does not work", Args: oneOf("ID"),
		Example: "  keyflow credentials test erp\n  keyflow credentials test erp --candidate",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var r credentials.TestResult
			if err := c.call(cmd.Context(), http.MethodPost, credentialPath(args[0], "/test"), map[string]any{"candidate": candidate}, &r); err != nil {
				return err
			}
			err := show(cmd, r, func(w io.Writer) error {
				_, _ = fmt.Fprintf(w, "%s: %s\n", r.Status, oneLine(r.Message))
				if r.Suggestion != "" {
					_, _ = fmt.Fprintln(w, "suggestion:", oneLine(r.Suggestion))
				}
				return nil
			})
			if err == nil && !r.OK {
				return &exitError{code: exitFailed}
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&candidate, "candidate", false, "test the candidate, not the current version")
	return cmd
}

func credentialsRefresh(p process) *cobra.Command {
	return &cobra.Command{
		Use: "refresh ID", Short: "Get a new OAuth token now", Args: oneOf("ID"),
		Example: "  keyflow credentials refresh salesforce",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var out credentials.Credential
			if err := c.call(cmd.Context(), http.MethodPost, credentialPath(args[0], "/refresh"), nil, &out); err != nil {
				return err
			}
			return show(cmd, out, line("credential %s: %s", out.ID, out.State.Status))
		}),
	}
}

func credentialsConnect(p process) *cobra.Command {
	return &cobra.Command{
		Use: "connect ID", Short: "Print the URL where a person gives consent (OAuth authorization code)", Args: oneOf("ID"),
		Example: "  keyflow credentials connect salesforce",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var out struct {
				AuthorizationURL string `json:"authorization_url"`
			}
			if err := c.call(cmd.Context(), http.MethodPost, credentialPath(args[0], "/connect"), nil, &out); err != nil {
				return err
			}
			return show(cmd, out, line("open in a browser: %s", out.AuthorizationURL))
		}),
	}
}
