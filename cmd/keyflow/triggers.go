package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// listedTrigger is a trigger as tables show it.
type listedTrigger struct {
	Workflow string      `json:"workflow"`
	ID       string      `json:"id"`
	Type     string      `json:"type"`
	Enabled  bool        `json:"enabled"`
	Schedule string      `json:"schedule,omitempty"`
	Timezone string      `json:"timezone,omitempty"`
	Next     []time.Time `json:"next,omitempty"`
	Missed   int64       `json:"missed,omitempty"`
	Skipped  int64       `json:"skipped,omitempty"`
	Waiting  *time.Time  `json:"waiting,omitempty"`
	URL      string      `json:"url,omitempty"`
	Methods  []string    `json:"methods,omitempty"`
	Event    string      `json:"event,omitempty"`
	Refused  int64       `json:"refused,omitempty"`
	Failed   int64       `json:"filter_errors,omitempty"`
}

func triggersCommand(p process) *cobra.Command {
	cmd := group("triggers", "Show what starts workflows")
	cmd.AddCommand(triggersListCommand(p), triggersNextCommand(p))
	return cmd
}

func triggersListCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List triggers with their next fire times", Args: cobra.NoArgs,
		Example: "  keyflow triggers list",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			items, err := list[received[listedTrigger]](cmd.Context(), c, "/api/v1/triggers", url.Values{}, 0)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				it := item.value
				next := "-"
				if len(it.Next) > 0 {
					next = clock(&it.Next[0])
				}
				lines[i] = []string{it.Workflow, it.ID, it.Type, it.state(), strings.TrimSpace(it.Schedule + " " + it.Timezone + it.URL + it.Event), next}
			}
			return show(cmd, items, rows("WORKFLOW\tID\tTYPE\tSTATE\tWHEN OR WHERE\tNEXT", lines, "no triggers; a workflow's definition declares them"))
		}),
	}
}

// state says whether the trigger fires, and counts what did not start.
func (t listedTrigger) state() string {
	state := "enabled"
	if !t.Enabled {
		state = "disabled"
	}
	if t.Waiting != nil {
		state += ", one waiting"
	}
	if t.Missed > 0 {
		state += fmt.Sprintf(", %d missed", t.Missed)
	}
	if t.Skipped > 0 {
		state += fmt.Sprintf(", %d skipped", t.Skipped)
	}
	if t.Refused > 0 {
		state += fmt.Sprintf(", %d refused", t.Refused)
	}
	if t.Failed > 0 {
		state += fmt.Sprintf(", filter failed %d times", t.Failed)
	}
	return state
}

// nextTime is one planned time.
type nextTime struct {
	At       time.Time `json:"at"`
	Workflow string    `json:"workflow"`
	Trigger  string    `json:"trigger"`
}

func triggersNextCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use: "next [WORKFLOW]", Short: "List when schedules fire next, in order of time", Args: cobra.MaximumNArgs(1),
		Long:    "The next five times of each schedule, of one workflow or all.",
		Example: "  keyflow triggers next\n  keyflow triggers next sync-leads --output json",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			query := url.Values{}
			if len(args) == 1 {
				query.Set("workflow", args[0])
			}
			items, err := list[received[listedTrigger]](cmd.Context(), c, "/api/v1/triggers", query, 0)
			if err != nil {
				return err
			}
			times := []nextTime{}
			for _, item := range items {
				for _, at := range item.value.Next {
					times = append(times, nextTime{at, item.value.Workflow, item.value.ID})
				}
			}
			slices.SortStableFunc(times, func(a, b nextTime) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Workflow, b.Workflow)) })
			lines := make([][]string, len(times))
			for i, t := range times {
				lines[i] = []string{clock(&t.At), t.Workflow, t.Trigger}
			}
			return show(cmd, times, rows("AT\tWORKFLOW\tTRIGGER", lines, "no schedule fires"))
		}),
	}
}
