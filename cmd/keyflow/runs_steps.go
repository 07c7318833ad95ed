package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// runDetail is a run as `runs get` prints it, with what says whether more steps are to come.
type runDetail struct {
	Steps       []struct{}     `json:"steps"`
	StepCounts  map[string]int `json:"step_counts"`
	StepsCursor *string        `json:"steps_cursor"`
}

func (r *runDetail) total() (n int) {
	for _, count := range r.StepCounts {
		n += count
	}
	return n
}

func runsGet(p process) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show a run with its steps", Args: oneOf("run ID"),
		Example: "  keyflow runs get 01a20433-6380-7c45-a07c-a90ef96a4aea",
		Long:    "Of a run with more than 200 steps it shows the first of them; keyflow runs steps shows all.",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			var run received[runDetail]
			if err := c.call(cmd.Context(), http.MethodGet, runPath(args[0], ""), nil, &run); err != nil {
				return err
			}
			if d := &run.value; d.StepsCursor != nil {
				_, _ = fmt.Fprintf(p.stderr, "keyflow: %d of %d steps are shown; for all: keyflow runs steps %s\n", len(d.Steps), d.total(), args[0])
			}
			return printJSON(cmd.OutOrStdout(), run)
		}),
	}
}

func runsSteps(p process) *cobra.Command {
	var node, status string
	var limit int
	cmd := &cobra.Command{
		Use: "steps ID", Short: "List the steps of a run: of nodes, then the elements of for_each", Args: oneOf("run ID"),
		Example: "  keyflow runs steps 01a20433-6380-7c45-a07c-a90ef96a4aea --status failed\n" +
			"  keyflow runs steps 01a20433-6380-7c45-a07c-a90ef96a4aea --node fetch --limit 0 --output json",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, args []string) error {
			query := url.Values{}
			setIf(query, "node", node)
			setIf(query, "status", status)
			items, err := list[received[stepItem]](cmd.Context(), c, runPath(args[0], "/steps"), query, limit)
			if err != nil {
				return err
			}
			lines := make([][]string, len(items))
			for i, item := range items {
				s := item.value
				index, message := "", ""
				if s.Index != nil {
					index = fmt.Sprint(*s.Index)
				}
				if s.Error != nil {
					message = s.Error.Message
				}
				lines[i] = []string{s.Node, index, s.Status, fmt.Sprint(s.Attempt), span(s.StartedAt, s.FinishedAt), message}
			}
			return show(cmd, items, rows("NODE\tINDEX\tSTATUS\tATTEMPTS\tTOOK\tERROR", lines, "no steps"))
		}),
	}
	cmd.Flags().StringVar(&node, "node", "", "only the step of this node and the elements of its for_each")
	cmd.Flags().StringVar(&status, "status", "", "pending, running, waiting, succeeded, failed, skipped or canceled")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many (0: all)")
	return cmd
}
