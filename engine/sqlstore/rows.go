package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// The numbers of statuses in the database; the partial indexes of migration 00003 name them.
const (
	runQueued = 1 + iota
	runRunning
	runWaiting
	runSucceeded
	runFailed
	runCanceled
)

// runStatuses and stepStatuses give each number its word; 0 is none.
var (
	runStatuses = [...]runs.Status{
		runQueued: runs.Queued, runRunning: runs.Running, runWaiting: runs.Waiting,
		runSucceeded: runs.Succeeded, runFailed: runs.Failed, runCanceled: runs.Canceled,
	}
	stepStatuses = [...]runs.StepStatus{
		1: runs.StepPending, 2: runs.StepRunning, 3: runs.StepWaiting,
		4: runs.StepSucceeded, 5: runs.StepFailed, 6: runs.StepSkipped, 7: runs.StepCanceled,
	}
)

// runNumber and stepNumber return the number of a status, 0 when it has none.
func runNumber(s runs.Status) int16      { return number(runStatuses[:], s) }
func stepNumber(s runs.StepStatus) int16 { return number(stepStatuses[:], s) }

// runStatus and stepStatus return the status of a number, "" for one that no release has written.
func runStatus(n int16) runs.Status      { return status(runStatuses[:], n) }
func stepStatus(n int16) runs.StepStatus { return status(stepStatuses[:], n) }

func number[S ~string](table []S, s S) int16 {
	for i := 1; i < len(table); i++ {
		if table[i] == s {
			return int16(i)
		}
	}
	return 0
}

func status[S ~string](table []S, n int16) S {
	if n < 1 || int(n) >= len(table) {
		return ""
	}
	return table[n]
}

// originKey is what the runs of one trigger of one workflow share.
type originKey struct {
	workflow          workflows.ID
	folder            string
	triggerID, trType string
}

// newRunRow is the part of a run that never changes. Zero times are NULL.
type newRunRow struct {
	originKey originKey
	origin    int64 // resolved from originKey
	version   int
	created   int64
	fired     int64
	scheduled int64
	depth     int
	retryOf   []byte
	cause     []byte
	input     []byte
}

// stepRow is a step as stored. Zero times are NULL.
type stepRow struct {
	key        stepKey
	node       int64          // resolved from key.node
	used       credentials.ID // "" for none
	credential int64          // resolved from used; 0 is NULL
	status     int16
	started    int64
	finished   int64
	due        int64
	failure    []byte
	detail     []byte
	output     []byte
	hold       string // "" is NULL
	sealed     []byte
}

type stepKey struct {
	run  runs.ID
	node workflows.NodeID
	idx  int
}

// stepAsk asks whether a step can still be brought something.
type stepAsk struct {
	key  stepKey
	node int64 // resolved from key.node
}

// signalRow is a signal to be inserted.
type signalRow struct {
	id   [16]byte
	run  runs.ID
	kind string
	data []byte
}

// dedupeRow is a dedupe key; a zero run records the key without a run.
type dedupeRow struct {
	hash    [16]byte
	run     runs.ID
	input   []byte // hash of the input; nil for none
	expires int64
	refused error // the start that held it in this batch got no slot
}

// dedupeHash is the identity of a start. Every part is preceded by its length, so that
// moving a border makes another key.
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
