package record

import (
	"crypto/sha256"
	"encoding/binary"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// Origin is what the runs of one trigger of one workflow share.
type Origin struct {
	Workflow               workflows.ID
	Folder                 string
	TriggerID, TriggerType string
}

// RunRow is the part of a run that never changes. Zero times are NULL.
type RunRow struct {
	Origin    Origin
	OriginID  int64 // its number in the table origins
	Version   int
	Created   int64
	Fired     int64
	Scheduled int64
	Depth     int
	RetryOf   []byte
	Cause     []byte
	Input     []byte
}

// StepRow is a step as stored. Zero times are NULL.
type StepRow struct {
	Key          StepKey
	NodeID       int64          // the number of Key.Node
	Credential   credentials.ID // "" for none
	CredentialID int64          // the number of Credential; 0 is NULL
	Status       int16
	Started      int64
	Finished     int64
	Due          int64
	Failure      []byte
	Detail       []byte
	Output       []byte
	Hold         string // the credential that the step waits for; "" is NULL
	Sealed       []byte
}

// StepKey identifies a step.
type StepKey struct {
	Run   runs.ID
	Node  workflows.NodeID
	Index int
}

// StepCheck names a step whose stored status decides whether a signal can still be delivered.
type StepCheck struct {
	Key    StepKey
	NodeID int64 // the number of Key.Node
}

// SignalRow is a signal to insert.
type SignalRow struct {
	ID   [16]byte
	Run  runs.ID
	Kind string
	Data []byte
}

// DedupeRow is a dedupe key; a zero run records the key without a run. With Refused set, the start
// that reserved it in this transaction got no slot.
type DedupeRow struct {
	Hash      [16]byte
	Run       runs.ID
	InputHash []byte // nil for none
	Expires   int64
	Refused   error
}

// dedupeHash is the identity of a start. Every part is preceded by its length, so that
// the same characters divided in another way make another key.
func dedupeHash(workflow workflows.ID, k *runs.DedupeKey) [16]byte {
	h := sha256.New()
	for _, part := range [...]string{string(workflow), k.Kind, k.Trigger, k.Key} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return [16]byte(h.Sum(nil)[:16])
}

// inputHash shortens what the caller uses to compare inputs.
func inputHash(s string) []byte {
	if s == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(s))
	return sum[:16]
}

// AnswerRow is the answer of a run to its caller. Only the first answer of a run is stored.
type AnswerRow struct {
	Run  runs.ID
	Data []byte
}
