package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"keyflow/credentials"
	"keyflow/credentials/transfer"
)

// The formats of a file of credentials.
const (
	formatJSON = "json"
	formatCSV  = "csv"
)

// importFlags say how a file of credentials is imported.
type importFlags struct {
	mode, folder, format string
	dryRun, yes          bool
}

func (f *importFlags) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.format, "format", "", "json or csv (default: by the file's name, else by its content)")
	fs.BoolVar(&f.dryRun, "dry-run", false, "show what would change and change nothing")
	fs.BoolVar(&f.yes, "yes", false, "do not ask")
}

func credentialsImport(p process) *cobra.Command {
	f := importFlags{mode: string(credentials.ImportUpsert)}
	cmd := &cobra.Command{
		Use: "import FILE|-", Short: "Create and change many credentials, all or none", Args: oneOf("FILE"),
		Long: "The file is JSON ({\"items\": [...]} or a list) or CSV whose first row names the columns: id, name, type,\n" +
			"folder, allowed_hosts, fields.<name>, labels.<key> and so on. A row changes the columns that it has\n" +
			"values for. When one row is not valid, nothing is imported.",
		Example: "  keyflow credentials import partners.csv --dry-run\n  keyflow credentials import partners.json --folder /partners\n" +
			"  pass show partners.csv | keyflow credentials import - --format csv",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			return f.run(cmd, p, c, args[0])
		}),
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.folder, "folder", "", "every credential must be in this folder or below; new ones are created there")
	cmd.Flags().StringVar(&f.mode, "mode", f.mode, "upsert creates what is missing; update refuses an unknown id")
	return cmd
}

// updateFolder changes the credentials of a folder that a file names.
func (f *credentialFlags) updateFolder(cmd *cobra.Command, p process, c *client, bulk importFlags) error {
	for _, name := range []string{"name", "description", "test-url", "field", "allowed-host", "allowed-workflow", "ref", "secret"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s changes one credential: give its ID", name)
		}
	}
	if f.folder == "" || f.fromFile == "" {
		return usagef("give the ID of a credential, or --folder and --from-file to change many; see keyflow credentials update --help")
	}
	bulk.mode, bulk.folder = string(credentials.ImportUpdate), f.folder
	return bulk.run(cmd, p, c, f.fromFile)
}

// run sends a file. On a terminal it shows the plan first and asks.
func (f *importFlags) run(cmd *cobra.Command, p process, c *client, name string) error {
	data, err := readFile(p, name)
	if err != nil {
		return err
	}
	format, err := formatOf(f.format, name, data)
	if err != nil {
		return err
	}
	_, present := terminal(p)
	ask := present && !f.yes && !f.dryRun
	plan, err := f.send(cmd, c, importSource{name, format, data}, f.dryRun || ask)
	if err != nil {
		return err
	}
	if ask {
		if err := planTable(plan)(p.stderr); err != nil {
			return err
		}
		if plan.Created+plan.Updated == 0 {
			return nil
		}
		if err := confirm(p, false, "Import?"); err != nil {
			return err
		}
		if plan, err = f.send(cmd, c, importSource{name, format, data}, false); err != nil {
			return err
		}
	}
	return show(cmd, plan, planTable(plan))
}

// importSource is a file that was read.
type importSource struct {
	name, format string
	data         []byte
}

// formatOf is the given format, else that of the file's name, else that of its content.
func formatOf(asked, name string, data []byte) (string, error) {
	extension := strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	switch {
	case asked == formatJSON || asked == formatCSV:
		return asked, nil
	case asked != "":
		return "", usagef("--format must be json or csv")
	case extension == formatJSON || extension == formatCSV:
		return extension, nil
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")), bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")):
		return formatJSON, nil
	default:
		return formatCSV, nil
	}
}

func (f *importFlags) send(cmd *cobra.Command, c *client, file importSource, dry bool) (credentials.ImportPlan, error) {
	var plan credentials.ImportPlan
	q := url.Values{"mode": {f.mode}, "dry_run": {fmt.Sprint(dry)}}
	setIf(q, "folder", f.folder)
	media := "application/json"
	if file.format == formatCSV {
		media = "text/csv; charset=utf-8"
	}
	answer, err := c.sendAs(cmd.Context(), request{http.MethodPost, "/api/v1/credentials/import?" + q.Encode(), media, file.data})
	if err != nil {
		return plan, printImportProblems(cmd.ErrOrStderr(), file.name, err)
	}
	if err := json.Unmarshal(answer, &plan); err != nil {
		return plan, &exitError{exitFailed, fmt.Errorf("%s sent a response that this version does not understand: %w", c.base, err)}
	}
	return plan, nil
}

// printImportProblems prints one problem a line, as file:line: pointer: message, and returns the
// error of the command.
func printImportProblems(w io.Writer, file string, err error) error {
	refused, ok := errors.AsType[*apiError](err)
	if !ok || refused.Status != http.StatusUnprocessableEntity || len(refused.Errors) == 0 || strings.HasPrefix(refused.Errors[0].Path, "?") {
		return err // about the command, not about the file
	}
	if file == "-" {
		file = "stdin"
	}
	for _, problem := range refused.Errors {
		where, message := file, problem.Message
		if problem.Line > 0 {
			where = fmt.Sprintf("%s:%d", file, problem.Line)
			message = strings.TrimPrefix(message, fmt.Sprintf("line %d: ", problem.Line))
		}
		if problem.Path != "" {
			message = problem.Path + ": " + message
		}
		_, _ = fmt.Fprintf(w, "%s: %s\n", where, oneLine(message))
	}
	return &exitError{exitUsage, errors.New(refused.Detail)}
}

// planTable shows the changes, without rows that change nothing.
func planTable(plan credentials.ImportPlan) func(io.Writer) error {
	var lines [][]string
	for _, item := range plan.Items {
		if item.Action != credentials.ActionUnchanged {
			lines = append(lines, []string{string(item.ID), string(item.Action), strings.Join(item.Changed, ", ")})
		}
	}
	return func(w io.Writer) error {
		if len(lines) > 0 {
			if err := rows("ID\tACTION\tCHANGED", lines, "")(w); err != nil {
				return err
			}
		}
		what := ""
		if plan.DryRun {
			what = "dry run: "
		}
		_, err := fmt.Fprintf(w, "%s%d created, %d updated, %d unchanged\n", what, plan.Created, plan.Updated, plan.Unchanged)
		return err
	}
}

func credentialsExport(p process) *cobra.Command {
	var folder, format, out string
	cmd := &cobra.Command{
		Use: "export", Short: "Write credentials to a file, without their secrets", Args: cobra.NoArgs,
		Long: "The file can be imported again. It contains no secrets; JSON says which secrets are set.",
		Example: "  keyflow credentials export --folder /partners --out partners.csv\n" +
			"  keyflow credentials export --format csv > all.csv",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			format, err := formatOf(format, out, []byte("{"))
			if err != nil {
				return err
			}
			q := url.Values{}
			setIf(q, "folder", folder)
			items, err := list[credentials.Credential](cmd.Context(), c, "/api/v1/credentials", q, 0)
			if err != nil {
				return err
			}
			docs, damaged, err := exported(items)
			if err != nil {
				return err
			}
			if err := writeExport(cmd, out, format, docs); err != nil {
				return err
			}
			if len(damaged) > 0 {
				return &exitError{exitFailed, fmt.Errorf("not exported, because they are damaged in the database: %s; enter their secrets again", strings.Join(damaged, ", "))}
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&folder, "folder", "", "only this folder and below")
	cmd.Flags().StringVar(&format, "format", "", "json or csv (default: by the name of --out, else json)")
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: stdout)")
	return cmd
}

func exported(items []credentials.Credential) (docs []map[string]any, damaged []string, err error) {
	docs = []map[string]any{}
	for _, c := range items {
		if c.State.Message == credentials.MessageDamaged {
			damaged = append(damaged, string(c.ID))
			continue
		}
		doc, err := transfer.Export(c)
		if err != nil {
			return nil, nil, err
		}
		docs = append(docs, doc)
	}
	return docs, damaged, nil
}

func writeExport(cmd *cobra.Command, out, format string, docs []map[string]any) error {
	var text bytes.Buffer
	var err error
	if format == formatCSV {
		err = transfer.WriteCSV(&text, docs)
	} else {
		err = printJSON(&text, map[string]any{"items": docs})
	}
	if err != nil {
		return err
	}
	if out == "" {
		_, err = cmd.OutOrStdout().Write(text.Bytes())
		return err
	}
	if err := os.WriteFile(out, text.Bytes(), 0o600); err != nil {
		return usagef("%w", err)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s written to %s\n", count(len(docs), "credential"), out)
	return err
}
