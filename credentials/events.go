package credentials

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyflow/internal/outbox"
)

// The types of events.
const (
	EventCreated        = "keyflow.credential.created"
	EventUpdated        = "keyflow.credential.updated"
	EventDeleted        = "keyflow.credential.deleted"
	EventRotated        = "keyflow.credential.rotated"
	EventRefused        = "keyflow.credential.refused"
	EventNeedsReconnect = "keyflow.credential.needs_reconnect"
	EventExpiring       = "keyflow.credential.expiring"
)

// SystemAuthor is the author of what nobody asked for.
const SystemAuthor = "system"

// EventData is the data of an event. Nothing of a secret is in it.
type EventData struct {
	ID      ID       `json:"id"`
	Folder  string   `json:"folder"`
	Type    TypeName `json:"type"`
	State   Status   `json:"state"`
	Version int      `json:"version"`
	Message string   `json:"message"`
	By      string   `json:"by"` // "system" when nobody asked for it
}

// ChangeEvents returns the events of an edit: old is nil at creation, next at deletion. What is
// stored says who made it and when; a deletion is that of old.UpdatedBy at old.UpdatedAt.
func ChangeEvents(old, next *Record) []outbox.Event {
	switch {
	case old == nil && next == nil:
		return nil
	case next == nil:
		return []outbox.Event{event(EventDeleted, &old.Credential, "deleted")}
	case old == nil:
		return []outbox.Event{event(EventCreated, &next.Credential, "created")}
	}
	if onlyTested(old, next) {
		return nil
	}
	events := []outbox.Event{event(EventUpdated, &next.Credential, "changed")}
	if names := changedSecrets(old, next); len(names) > 0 {
		events = append(events, event(EventRotated, &next.Credential, "new "+strings.Join(names, ", ")))
	}
	if old.State.Status != next.State.Status {
		events = append(events, StateEvents(next)...)
	}
	return events
}

// onlyTested reports whether all that is new is what the test of the candidate found.
func onlyTested(old, next *Record) bool {
	return old.Staged != nil && next.Staged != nil && old.Staged.Revision == next.Staged.Revision &&
		!reflect.DeepEqual(old.Candidate.Test, next.Candidate.Test)
}

// changedSecrets lists the secret fields whose value or reference is another one.
func changedSecrets(old, next *Record) []string {
	if old.Version == next.Version {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(next.Secrets)) {
		if now := next.Secrets[name]; now.Set && (now.Fingerprint != old.Secrets[name].Fingerprint || now.Ref != old.Secrets[name].Ref) {
			names = append(names, name)
		}
	}
	return names
}

// StateEvents returns the events of the present state. Only states in which
// a person has to do something are events.
func StateEvents(r *Record) []outbox.Event {
	var typ string
	switch r.State.Status {
	case Refused:
		typ = EventRefused
	case NeedsReconnect:
		typ = EventNeedsReconnect
	default:
		return nil
	}
	c := r.Credential
	c.UpdatedAt, c.UpdatedBy = c.State.Since, SystemAuthor
	return []outbox.Event{event(typ, &c, c.State.Message)}
}

// ReminderEvent says that a credential ends soon, or has ended.
func ReminderEvent(r *Record, end *Expires, now time.Time) outbox.Event {
	c := r.Credential
	c.State = ShownState(c.State, end, now)
	c.UpdatedAt, c.UpdatedBy = now, SystemAuthor
	return event(EventExpiring, &c, end.message(now))
}

// event is made of a credential as its author left it.
func event(typ string, c *Credential, message string) outbox.Event {
	data, _ := json.Marshal(EventData{ // texts and a number always have a JSON form
		ID: c.ID, Folder: c.Folder, Type: c.Type, State: c.State.Status, Version: c.Version, Message: message, By: c.UpdatedBy,
	})
	return outbox.Event{
		ID: uuid.Must(uuid.NewV7()), Type: typ, Subject: "credentials/" + string(c.ID), Folder: c.Folder, Time: c.UpdatedAt, Data: data,
	}
}
