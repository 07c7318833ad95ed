package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func runsCommand(p process) *cobra.Command {
	cmd := group("runs", "List, show, watch, decide, cancel, retry and delete runs on a server")
	cmd.AddCommand(runsList(p), runsGet(p), runsSteps(p), runsWatch(p), runsApprove(p), runsReject(p), runsCancel(p), runsRetry(p), runsDelete(p))
	return cmd
}

// runItem is a run as the API shows it.
type runItem struct {
	ID         string          `json:"id"`
	Workflow   string          `json:"workflow"`
	Version    int             `json:"version"`
	Status     string          `json:"status"`
	Trigger    triggerRef      `json:"trigger"`
	Output     json.RawMessage `json:"output,omitempty"`
	Error      *runError       `json:"error,omitempty"`
	CreatedAt  *time.Time      `json:"created_at"`
	StartedAt  *time.Time      `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at"`
	Steps      []stepItem      `json:"steps,omitempty"`
}

type triggerRef struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type runError struct {
	Node    string `json:"node"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

type stepItem struct {
	Node       string     `json:"node"`
	Index      *int       `json:"index"`
	Attempt    int        `json:"attempt"`
	Status     string     `json:"status"`
	Error      *runError  `json:"error"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

func (r runItem) final() bool {
	return r.Status == "succeeded" || r.Status == "failed" || r.Status == "canceled"
}

func runsList(p process) *cobra.Command {
	var filter runFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
		Example: "  keyflow runs list --workflow sync-leads --status failed\n  keyflow runs list --trigger nightly --since 2026-03-01T00:00:00Z",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			items, err := list[received[runItem]](cmd.Context(), c, "/api/v1/runs", filter.query(), limit)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				r := item.value
				lines[i] = []string{r.ID, r.Workflow, fmt.Sprint(r.Version), r.Status, r.Trigger.ID, clock(r.CreatedAt), span(r.StartedAt, r.FinishedAt)}
			}
			return show(cmd, items, rows("ID\tWORKFLOW\tVERSION\tSTATUS\tTRIGGER\tCREATED\tTOOK", lines, "no runs; start one with: keyflow run WORKFLOW"))
		}),
	}
	filter.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many (0: all)")
	return cmd
}

// runFilter selects the runs of a list.
type runFilter struct {
	workflow, status, folder, trigger string
	since, until                      time.Time // zero: no bound
}

func (f *runFilter) flags(set *pflag.FlagSet) {
	set.StringVar(&f.workflow, "workflow", "", "only runs of this workflow")
	set.StringVar(&f.status, "status", "", "queued, running, waiting, succeeded, failed or canceled")
	set.StringVar(&f.folder, "folder", "", "only this folder and below")
	set.StringVar(&f.trigger, "trigger", "", "only runs of this trigger; manual: started by hand")
	layouts := []string{time.RFC3339Nano}
	set.TimeVar(&f.since, "since", time.Time{}, layouts, "only runs created at this time or later, such as 2026-03-01T00:00:00Z")
	set.TimeVar(&f.until, "until", time.Time{}, layouts, "only runs created before this time")
}

func (f *runFilter) query() url.Values {
	q := url.Values{}
	setIf(q, "workflow", f.workflow)
	setIf(q, "status", f.status)
	setIf(q, "folder", f.folder)
	setIf(q, "trigger", f.trigger)
	for name, at := range map[string]time.Time{"since": f.since, "until": f.until} {
		if !at.IsZero() {
			q.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	return q
}

func runPath(id, rest string) string { return "/api/v1/runs/" + url.PathEscape(id) + rest }

func runsWatch(p process) *cobra.Command {
	return &cobra.Command{
		Use: "watch ID", Short: "Follow a run until it ends; exits 1 when it fails", Args: oneOf("run ID"),
		Example: "  keyflow runs watch 01a20433-6380-7c45-a07c-a90ef96a4aea",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			return follow(cmd, p, c, args[0])
		}),
	}
}

func runsCancel(p process) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Cancel a run: no further step of it starts", Args: oneOf("run ID"),
		Example: "  keyflow runs cancel 01a20433-6380-7c45-a07c-a90ef96a4aea",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			if err := c.call(cmd.Context(), http.MethodPost, runPath(args[0], "/cancel"), nil, nil); err != nil {
				return err
			}
			return show(cmd, map[string]any{"id": args[0], "canceled": true}, line("run %s: cancel requested", args[0]))
		}),
	}
}

func runsRetry(p process) *cobra.Command {
	var from string
	var newest, watch bool
	cmd := &cobra.Command{
		Use: "retry ID", Short: "Run an ended run again, from the failed steps or from the start", Args: oneOf("run ID"),
		Long: "Starts a new run with the same input. From failed (default), steps that succeeded keep their outputs and do\n" +
			"not run again; from start, every step runs.",
		Example: "  keyflow runs retry 01a20433-6380-7c45-a07c-a90ef96a4aea --watch\n" +
			"  keyflow runs retry 01a20433-6380-7c45-a07c-a90ef96a4aea --from start --newest",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			body := map[string]string{"from": from}
			if newest {
				body["version"] = "newest"
			}
			var started received[runItem]
			if err := c.call(cmd.Context(), http.MethodPost, runPath(args[0], "/retry"), body, &started); err != nil {
				return err
			}
			if watch {
				return follow(cmd, p, c, started.value.ID)
			}
			return show(cmd, started, line("run %s %s, in place of %s", started.value.ID, started.value.Status, args[0]))
		}),
	}
	cmd.Flags().StringVar(&from, "from", "failed", "failed or start")
	cmd.Flags().BoolVar(&newest, "newest", false, "with the workflow's current version (needs --from start)")
	cmd.Flags().BoolVar(&watch, "watch", false, "follow the new run until it ends")
	return cmd
}
