package record

import (
	"strings"
	"unicode/utf8"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/outbox"
)

func checkEvents(events []outbox.Event) error {
	for i := range events {
		e := &events[i]
		if len(e.Data) == 0 || len(e.Data) > maxPayload {
			return fault.New(fault.Invalid, "the data of an event has %d bytes", len(e.Data))
		}
		for what, text := range map[string]string{"type": e.Type, "source": e.Source, "subject": e.Subject, "folder": e.Folder} {
			if err := checkText("event's "+what, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkCreate(n *runs.NewRun) error {
	r := &n.Run
	for what, text := range map[string]string{
		"workflow id": string(r.Workflow), "folder": r.Folder, "trigger id": r.Trigger.ID, "trigger type": r.Trigger.Type,
	} {
		if err := checkText(what, text); err != nil {
			return err
		}
	}
	owned := r.Owner != runs.OwnerID{}
	switch {
	case r.ID == runs.ID{}:
		return fault.New(fault.Invalid, "a run needs an id")
	case RunNumber(r.Status) == 0:
		return fault.New(fault.Invalid, "the run has the unknown status %q", r.Status)
	case owned != (r.Status == runs.Running):
		return fault.New(fault.Invalid, "a new run is running if and only if it has an owner")
	}
	return nil
}

func checkProgress(p *runs.Progress) error {
	switch {
	case p.Owner == runs.OwnerID{}:
		return fault.New(fault.Invalid, "progress needs an owner")
	case p.Set == nil:
		return nil
	case RunNumber(p.Set.Status) == 0:
		return fault.New(fault.Invalid, "the run has the unknown status %q", p.Set.Status)
	case p.Set.Release && p.Set.Status == runs.Running:
		return fault.New(fault.Invalid, "a run cannot run without an owner")
	case !p.Set.Release && p.Set.Status == runs.Queued:
		return fault.New(fault.Invalid, "a queued run has no owner: release it")
	}
	return nil
}

func checkSignal(s *runs.Signal) error {
	if len(s.Data) > maxPayload {
		return fault.New(fault.TooLarge, "the signal's data is %d bytes long; at most %d can be stored", len(s.Data), maxPayload)
	}
	return checkText("signal kind", s.Kind)
}

// checkText refuses what a text column of one of the databases would refuse.
func checkText(what, s string) error {
	switch {
	case len(s) > maxText:
		return fault.New(fault.Invalid, "the %s is %d bytes long; at most %d are possible", what, len(s), maxText)
	case !utf8.ValidString(s), strings.ContainsRune(s, 0):
		return fault.New(fault.Invalid, "the %s holds a NUL character or is not UTF-8", what)
	}
	return nil
}

const maxText = 1024
