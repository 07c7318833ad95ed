package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// show prints a result: as JSON with --output json, else with the given function.
func show(cmd *cobra.Command, value any, table func(io.Writer) error) error {
	if outputOf(cmd) == "json" {
		return printJSON(cmd.OutOrStdout(), value)
	}
	return table(cmd.OutOrStdout())
}

func printJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// rows prints an aligned table with a header; empty says what to do when there are no rows.
func rows(header string, lines [][]string, empty string) func(io.Writer) error {
	return func(w io.Writer) error {
		if len(lines) == 0 {
			_, err := fmt.Fprintln(w, empty)
			return err
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, header)
		for _, l := range lines {
			for i := range l {
				l[i] = oneLine(l[i])
			}
			_, _ = fmt.Fprintln(t, strings.Join(l, "\t"))
		}
		return t.Flush()
	}
}

// oneLine replaces control characters, so that stored text cannot control the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

func line(format string, args ...any) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintln(w, oneLine(fmt.Sprintf(format, args...)))
		return err
	}
}

func clock(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func span(from, to *time.Time) string {
	if from == nil || to == nil {
		return "-"
	}
	d := to.Sub(*from)
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
