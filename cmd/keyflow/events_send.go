package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"keyflow/internal/cloudevent"
)

// sentEvent are the flags of one event.
type sentEvent struct{ Type, Source, ID, Subject, data, file string }

// receipt is the server's result of one event.
type receipt struct {
	ID     string   `json:"id"`
	RunIDs []string `json:"run_ids"`
	Error  *struct {
		Path    string `json:"path"`
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func eventsCommand(p process) *cobra.Command {
	cmd := group("events", "Send events, which start workflows with event triggers")
	cmd.AddCommand(eventsSendCommand(p))
	return cmd
}

func eventsSendCommand(p process) *cobra.Command {
	var e sentEvent
	cmd := &cobra.Command{
		Use: "send", Short: "Send CloudEvents and print the runs that they started", Args: cobra.NoArgs,
		Long: "Sends one event made from flags, or the events of a file: a CloudEvent 1.0 as JSON, or a list of them.\n" +
			"An event with the same source and id starts nothing twice within 24 hours. Without --id each call\n" +
			"sends a new event. The exit code is 1 when an event of a list was not accepted.",
		Example: "  keyflow events send --type com.example.ticket.created --source https://tickets.example.com --data '{\"priority\": \"high\"}'\n" +
			"  keyflow events send --type com.example.ticket.created --source /tickets --id 4711 --data @ticket.json\n" +
			"  jq '.[]' export.json | jq -s . | keyflow events send --file -",
		RunE: withClient(p, func(cmd *cobra.Command, c *client, _ []string) error {
			body, media, err := e.body(p)
			if err != nil {
				return err
			}
			text, err := c.sendAs(cmd.Context(), request{http.MethodPost, "/api/v1/events", media, body})
			if err != nil {
				return err
			}
			var answer received[page[receipt]]
			if err := json.Unmarshal(text, &answer); err != nil {
				return &exitError{exitFailed, fmt.Errorf("%s sent a response that this version does not understand: %w", c.base, err)}
			}
			return showReceipts(cmd, answer)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&e.Type, "type", "", "what happened, such as com.example.ticket.created")
	f.StringVar(&e.Source, "source", "", "where it happened: a URI or the path of one")
	f.StringVar(&e.ID, "id", "", "the event's id within its source (default: a new one)")
	f.StringVar(&e.Subject, "subject", "", "what it is about, within the source")
	f.StringVar(&e.data, "data", "", "JSON, @file, or - for stdin")
	f.StringVar(&e.file, "file", "", "a file with one event or a list of events as JSON, - for stdin")
	return cmd
}

// body is what to send, and its media type.
func (e *sentEvent) body(p process) (body []byte, media string, err error) {
	if e.file != "" {
		if *e != (sentEvent{file: e.file}) {
			return nil, "", usagef("--file contains whole events: leave the other flags out")
		}
		body, err = readFile(p, e.file)
		if strings.HasPrefix(strings.TrimSpace(string(body)), "[") {
			return body, cloudevent.MediaBatch, err
		}
		return body, cloudevent.MediaEvent, err
	}
	if e.Type == "" || e.Source == "" {
		return nil, "", usagef("--type and --source are required, or --file; see keyflow events send --help")
	}
	event := map[string]any{"specversion": "1.0", "type": e.Type, "source": e.Source, "id": e.ID, "time": time.Now().UTC()}
	if e.ID == "" {
		event["id"] = uuid.NewString()
	}
	if e.Subject != "" {
		event["subject"] = e.Subject
	}
	if e.data != "" {
		data, err := readArgument(p, e.data)
		if err != nil {
			return nil, "", err
		}
		if !json.Valid(data) {
			return nil, "", usagef("--data is not valid JSON; quote it for the shell, or use --data @FILE")
		}
		event["data"], event["datacontenttype"] = json.RawMessage(data), "application/json"
	}
	if body, err = json.Marshal(event); err != nil {
		return nil, "", usagef("%w", err)
	}
	return body, cloudevent.MediaEvent, nil
}

func showReceipts(cmd *cobra.Command, answer received[page[receipt]]) error {
	lines := make([][]string, len(answer.value.Items))
	bad := 0
	for i, item := range answer.value.Items {
		runs := strings.Join(item.RunIDs, " ")
		switch {
		case item.Error != nil:
			bad++
			runs = "not accepted: " + strings.TrimPrefix(item.Error.Path+": "+item.Error.Message, ": ")
		case runs == "":
			runs = "started nothing"
		}
		lines[i] = []string{item.ID, runs}
	}
	if err := show(cmd, answer, rows("EVENT\tRUNS", lines, "no events were sent")); err != nil {
		return err
	}
	if bad > 0 {
		return &exitError{exitFailed, errors.New(map[bool]string{true: "one event was", false: fmt.Sprintf("%d events were", bad)}[bad == 1] + " not accepted")}
	}
	return nil
}
