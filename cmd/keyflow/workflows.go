package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"keyflow/workflows"
)

func workflowsCommand(p process) *cobra.Command {
	cmd := &cobra.Command{Use: "workflows", Short: "Apply, list and switch workflows on a server"}
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

// definitionFiles expands folders to the .json files directly inside them, sorted.
func definitionFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, usagef("%w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := filepath.Glob(filepath.Join(path, "*.json"))
		if err != nil || len(found) == 0 {
			return nil, usagef("%s holds no .json file", path)
		}
		slices.Sort(found)
		files = append(files, found...)
	}
	return files, nil
}

// parseFile reads and parses one definition; problems are printed to w as file:line:col.
func parseFile(p process, file string, w io.Writer) (*workflows.Definition, []byte, error) {
	source, err := readFile(p, file)
	if err != nil {
		return nil, nil, err
	}
	d, problems := workflows.Parse(source)
	if len(problems) > 0 {
		printProblems(w, file, problems)
		return nil, source, &exitError{exitUsage, fmt.Errorf("%s: %s", file, count(len(problems), "problem"))}
	}
	return d, source, nil
}

func printProblems(w io.Writer, file string, problems []workflows.Problem) {
	for _, problem := range problems {
		_, _ = fmt.Fprintf(w, "%s:%d:%d: %s: %s\n", file, max(problem.Line, 1), max(problem.Column, 1), problem.Path, problem.Message)
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func workflowsApply(p process) *cobra.Command {
	return &cobra.Command{
		Use: "apply PATH…", Short: "Create or replace workflows from files or folders", Args: cobra.MinimumNArgs(1),
		Long:    "Every file is checked before the first is applied: a bad file changes nothing.",
		Example: "  keyflow workflows apply sync.json\n  keyflow workflows apply workflows/",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			files, err := definitionFiles(args)
			if err != nil {
				return err
			}
			sources := make(map[string][]byte, len(files))
			ids := make(map[string]workflows.ID, len(files))
			var bad []error
			for _, f := range files {
				d, source, err := parseFile(p, f, p.stderr)
				if err != nil {
					bad = append(bad, err)
					continue
				}
				sources[f], ids[f] = source, d.ID
			}
			if len(bad) > 0 {
				return &exitError{exitUsage, fmt.Errorf("nothing was applied: %w", errors.Join(bad...))}
			}
			var out []applied
			for _, f := range files {
				a, err := applyOne(cmd, c, string(ids[f]), sources[f])
				if err != nil {
					return fmt.Errorf("%s: %w", f, err)
				}
				out = append(out, a)
			}
			return show(cmd, out, func(w io.Writer) error {
				for _, a := range out {
					_, _ = fmt.Fprintf(w, "%s version %d\n", a.ID, a.Version)
					for _, warning := range a.Warnings {
						_, _ = fmt.Fprintf(w, "  warning: %s: %s\n", warning.Path, oneLine(warning.Message))
					}
				}
				return nil
			})
		}),
	}
}

type applied struct {
	ID       string              `json:"id"`
	Version  int                 `json:"version"`
	Warnings []workflows.Problem `json:"warnings"`
}

func applyOne(cmd *cobra.Command, c *client, id string, source []byte) (applied, error) {
	var a applied
	answer, err := c.send(cmd.Context(), http.MethodPut, workflowPath(id, ""), source)
	if err == nil {
		err = json.Unmarshal(answer, &a)
	}
	return a, err
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
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			q := url.Values{}
			setIf(q, "folder", folder)
			items, err := list[workflowItem](cmd.Context(), c, "/api/v1/workflows", q, 0)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, it := range items {
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
