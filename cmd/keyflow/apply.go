package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keyflow/workflows"
)

// What apply does to a workflow.
const (
	actionCreate    = "create"
	actionUpdate    = "update"
	actionDelete    = "delete"
	actionUnchanged = "unchanged"
)

// planned is what apply does, or did, to one workflow.
type planned struct {
	ID       string                 `json:"id"`
	Action   string                 `json:"action"`
	File     string                 `json:"file,omitempty"`
	Version  int                    `json:"version,omitempty"` // after it was applied
	Changes  []workflows.Difference `json:"changes,omitempty"`
	Warnings []workflows.Problem    `json:"warnings,omitempty"`
	Webhooks []webhookURL           `json:"webhooks,omitempty"` // after it was applied

	source   []byte
	webhooks bool // the definition declares some
}

func workflowsApply(p process) *cobra.Command {
	var prune, dryRun, yes bool
	var folder string
	cmd := &cobra.Command{
		Use: "apply PATH…", Short: "Create or replace workflows from files or folders", Args: atLeastOne("file or folder"),
		Long: "Every file is checked before the first is applied: a bad file changes nothing.\n" +
			"--dry-run shows what would change. --prune deletes the workflows that no file defines, in --folder\n" +
			"and below, after asking; their runs and history stay. The URLs of webhooks are printed.",
		Example: "  keyflow workflows apply sync.json\n  keyflow workflows apply workflows/ --dry-run\n" +
			"  keyflow workflows apply workflows/ --prune --folder /marketing --yes",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if folder != "" && !prune {
				return usagef("--folder limits --prune: give both, or leave --folder out")
			}
			plan, err := makePlan(cmd.Context(), p, c, scope{args, prune, folder})
			if err != nil {
				return err
			}
			if dryRun {
				return show(cmd, plan, func(w io.Writer) error { return printPlan(w, plan, "would ") })
			}
			if n := deletions(plan); n > 0 {
				if err := confirm(p, yes, fmt.Sprintf("Delete %s that no file defines (%s)? This cannot be undone.", count(n, "workflow"), listDeletions(plan))); err != nil {
					return err
				}
			}
			if err := execute(cmd.Context(), c, plan); err != nil {
				return err
			}
			return show(cmd, plan, func(w io.Writer) error { return printPlan(w, plan, "") })
		}),
	}
	cmd.Flags().BoolVar(&prune, "prune", false, "delete workflows that no file defines")
	cmd.Flags().StringVar(&folder, "folder", "", "prune only this folder and below")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change and change nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// scope is what an apply changes.
type scope struct {
	paths  []string
	prune  bool
	folder string // where it prunes; "" is everywhere
}

// makePlan returns what applying files would do. It plans deletions first: a file may use the
// webhook path of a workflow that is deleted.
func makePlan(ctx context.Context, p process, c *client, of scope) ([]planned, error) {
	names, err := definitionFiles(of.paths)
	if err != nil {
		return nil, err
	}
	files, err := readFiles(p, names)
	if err != nil {
		return nil, err
	}
	var deleted siblings
	var removals []planned
	if of.prune {
		if removals, deleted, err = planPrune(ctx, c, files, of.folder); err != nil {
			return nil, err
		}
	}
	if err := checkOnServer(ctx, c, files, deleted); err != nil {
		return nil, err
	}
	plan, err := planFiles(ctx, p, c, files)
	return append(plan, removals...), err
}

// planFiles compares checked files with what is stored.
func planFiles(ctx context.Context, p process, c *client, files []checkedFile) ([]planned, error) {
	if err := refuse(p.stderr, files); err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("nothing was applied: %w", err)}
	}
	plan := make([]planned, len(files))
	for i, f := range files {
		plan[i] = planned{ID: string(f.definition.ID), File: f.File, Warnings: f.Warnings, source: f.source}
		for _, t := range f.definition.Triggers {
			plan[i].webhooks = plan[i].webhooks || t.Type == workflows.TriggerWebhook
		}
		if err := plan[i].compare(ctx, c, f.definition); err != nil {
			return nil, fmt.Errorf("%s: %w", f.File, err)
		}
	}
	return plan, nil
}

// compare sets what applying would do. An equal definition can still enable or disable the
// workflow.
func (a *planned) compare(ctx context.Context, c *client, d *workflows.Definition) error {
	var stored struct {
		Version    int             `json:"version"`
		Enabled    bool            `json:"enabled"`
		Definition json.RawMessage `json:"definition"`
	}
	err := c.call(ctx, http.MethodGet, workflowPath(a.ID, ""), nil, &stored)
	if e, ok := errors.AsType[*apiError](err); ok && e.Status == http.StatusNotFound {
		a.Action = actionCreate
		return nil
	}
	if err != nil {
		return err
	}
	a.Action, a.Version = actionUpdate, stored.Version
	if a.Changes, err = workflows.Diff(stored.Definition, a.source); err != nil {
		return &exitError{exitFailed, err}
	}
	old, problems := workflows.Parse(stored.Definition)
	same := old != nil && len(problems) == 0 && old.Digest == d.Digest
	if same && (d.Enabled == nil || *d.Enabled == stored.Enabled) {
		a.Action, a.Changes = actionUnchanged, nil
	}
	return nil
}

// planPrune plans to delete the workflows that no file defines; deleted are their definitions.
func planPrune(ctx context.Context, c *client, files []checkedFile, folder string) (deletions []planned, deleted siblings, err error) {
	q := url.Values{}
	setIf(q, "folder", folder)
	stored, err := list[workflowItem](ctx, c, "/api/v1/workflows", q, 0)
	if err != nil {
		return nil, nil, err
	}
	for _, item := range stored {
		if slices.ContainsFunc(files, func(f checkedFile) bool { return f.definition != nil && string(f.definition.ID) == item.ID }) {
			continue
		}
		var now struct {
			Definition json.RawMessage `json:"definition"`
		}
		if err := c.call(ctx, http.MethodGet, workflowPath(item.ID, ""), nil, &now); err != nil {
			return nil, nil, err
		}
		d, _ := workflows.Parse(now.Definition)
		deletions = append(deletions, planned{ID: item.ID, Action: actionDelete, Version: item.Version})
		deleted = append(deleted, checkedFile{definition: d})
	}
	return deletions, deleted, nil
}

func deletions(plan []planned) (n int) {
	for _, a := range plan {
		if a.Action == actionDelete {
			n++
		}
	}
	return n
}

// listDeletions names the workflows that would be deleted, the first ten.
func listDeletions(plan []planned) string {
	var ids []string
	for _, a := range plan {
		if a.Action == actionDelete {
			ids = append(ids, a.ID)
		}
	}
	if len(ids) > 10 {
		ids = append(ids[:10], fmt.Sprintf("and %d more", len(ids)-10))
	}
	return strings.Join(ids, ", ")
}

// execute deletes, which frees webhook paths, and then applies in the order of the plan. It also
// sends files that change nothing: the server knows whether something changed meanwhile.
func execute(ctx context.Context, c *client, plan []planned) error {
	for _, a := range plan {
		if a.Action != actionDelete {
			continue
		}
		if err := c.call(ctx, http.MethodDelete, workflowPath(a.ID, ""), nil, nil); err != nil {
			return fmt.Errorf("delete %s: %w", a.ID, err)
		}
	}
	for i := range plan {
		a := &plan[i]
		if a.Action == actionDelete {
			continue
		}
		answer, err := c.send(ctx, http.MethodPut, workflowPath(a.ID, ""), a.source)
		if err == nil {
			err = json.Unmarshal(answer, a)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a.File, err)
		}
		if a.webhooks {
			if err := a.findWebhooks(ctx, c); err != nil {
				return fmt.Errorf("%s was applied, but its webhooks cannot be listed: %w", a.File, err)
			}
		}
	}
	return nil
}

// webhookURL is where a trigger of a workflow is called.
type webhookURL struct {
	Trigger string   `json:"trigger"`
	Methods []string `json:"methods"`
	URL     string   `json:"url"`
}

// findWebhooks asks the server, which knows its public URL.
func (a *planned) findWebhooks(ctx context.Context, c *client) error {
	items, err := list[listedTrigger](ctx, c, "/api/v1/triggers", url.Values{"workflow": {a.ID}}, 0)
	for _, t := range items {
		if t.URL != "" {
			a.Webhooks = append(a.Webhooks, webhookURL{t.ID, t.Methods, t.URL})
		}
	}
	return err
}

// printPlan prints a line for each workflow, with its changes, warnings and webhooks below.
func printPlan(w io.Writer, plan []planned, would string) error {
	for _, a := range plan {
		_, _ = fmt.Fprintln(w, a.line(would))
		for _, change := range a.Changes {
			_, _ = fmt.Fprintf(w, "  %s\n", cut(oneLine(change.String())))
		}
		for _, warning := range a.Warnings {
			_, _ = fmt.Fprintf(w, "  warning: %s%s\n", pointerPrefix(warning), oneLine(warning.Message))
		}
		for _, hook := range a.Webhooks {
			_, _ = fmt.Fprintf(w, "  webhook %s: %s %s\n", hook.Trigger, strings.Join(hook.Methods, " or "), oneLine(hook.URL))
		}
	}
	return nil
}

// maxLine is how much of a change a line shows; JSON output has all of it.
const maxLine = 160

func cut(s string) string {
	if r := []rune(s); len(r) > maxLine {
		return string(r[:maxLine]) + "…"
	}
	return s
}

func (a *planned) line(would string) string {
	switch {
	case a.Action == actionUnchanged:
		return fmt.Sprintf("%s version %d unchanged", a.ID, a.Version)
	case would != "":
		return a.ID + " " + would + a.Action
	case a.Action == actionDelete:
		return a.ID + " deleted"
	default:
		return fmt.Sprintf("%s version %d", a.ID, a.Version)
	}
}
