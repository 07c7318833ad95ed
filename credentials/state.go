package credentials

import "time"

// MessageDamaged is the state of a credential whose row cannot be read.
const MessageDamaged = "damaged in the database: restore the backup, or delete it and create it again"

// Status is the state of a credential.
type Status string

// State is a status with its reason.
type State struct {
	Status  Status    `json:"status"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	// Until is when the state ends by itself; only Quota has it.
	Until time.Time `json:"until,omitzero"`
}

// The states.
const (
	OK             Status = "ok"
	Untested       Status = "untested"
	NeedsConnect   Status = "needs_connect"
	NeedsReconnect Status = "needs_reconnect"
	Refused        Status = "refused"
	Expiring       Status = "expiring"
	Expired        Status = "expired"
	// Quota is a used-up quota: nobody uses the credential before State.Until.
	Quota Status = "quota"
)

// NeedsPerson reports whether nothing but a person's connect makes the credential work.
func (s State) NeedsPerson() bool { return s.Status == NeedsConnect || s.Status == NeedsReconnect }
