package credentials

import (
	"context"
	"time"
)

// Usage is a node or trigger that names a credential literally, or a node that used it when
// it ran, through a template or literally.
type Usage struct {
	Workflow   string     `json:"workflow"`
	Node       string     `json:"node,omitempty"`
	Trigger    string     `json:"trigger,omitempty"`
	Literal    bool       `json:"literal"`
	LastUsedAt *time.Time `json:"last_used_at"`
	LastStatus *int       `json:"last_status"` // HTTP status of the last answer; null without one
	LastError  string     `json:"last_error"`  // code of the last use's error; "" when it worked
}

// Seen is the last use of a credential by a node.
type Seen struct {
	Credential     ID
	Workflow, Node string
	At             time.Time
	Status         int    // of the answer; 0 when there was none
	Error          string // code of the step's error
}

// Users says which workflows use some credentials, and which of others exist.
type Users struct {
	Naming   map[ID][]string // workflows whose definition names the credential
	Existing map[string]bool
}

// UsageStore keeps which nodes used a credential when they ran.
type UsageStore interface {
	// NoteUsages writes last uses; those of unknown credentials and earlier ones are ignored.
	NoteUsages(ctx context.Context, seen []Seen) error
	// Usages lists the last uses of one credential, ordered by workflow and node.
	Usages(ctx context.Context, id ID) ([]Seen, error)
	// UsedBy lists the workflows that used each of the credentials, in one query.
	UsedBy(ctx context.Context, ids []ID) (map[ID][]string, error)
	// UsedBefore lists the workflows of which a last use lies before a time.
	UsedBefore(ctx context.Context, before time.Time) ([]string, error)
	// ForgetUsages deletes the last uses of workflows that lie before a time.
	ForgetUsages(ctx context.Context, workflows []string, before time.Time) error
}

// ReminderStore publishes reminders.
type ReminderStore interface {
	// Remind stores an event for at most limit credentials whose reminder is due, and plans
	// their next one. Each reminder is published once, whatever processes ask at the same time;
	// of several that were missed only the newest is. It returns how many were due.
	Remind(ctx context.Context, now time.Time, limit int) (int, error)
}
